"""Detections, effort and health to an MQTT broker: from the outbox, in order, each until it is
acknowledged.

A row leaves the outbox on PUBACK and not before. Connecting is this thread's business, for ever,
with a jittered back-off; a broker that is away, frozen, or refuses is a line in the log and a
metric, never the pipeline's concern. Subscribers see a message at least once, and count it once by
its id and state. A message that no broker takes, or not this one, never holds up the others.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError, StoreError
from edge.mqtt.announcer import Announcer
from edge.mqtt.bounded import FloodError
from edge.mqtt.conversation import Conversation, Memory, MqttMeter
from edge.mqtt.heads import HeadInbox, HeadListener
from edge.mqtt.in_flight import QUIET_S, UNANSWERED_S, InFlight
from edge.mqtt.offers import Offers
from edge.mqtt.pace import Pace
from edge.mqtt.retaining import Retaining
from edge.mqtt.session import Session
from edge.mqtt.state import state_payload
from edge.mqtt.today import Today
from edge.mqtt.topics import Topics
from edge.mqtt.troubles import Troubles
from edge.store.store import Store
from edge.threads import Died, WatchedThread

__all__ = ["MqttMeter", "MqttSink"]

log = logging.getLogger(__name__)

SINK = "mqtt"  # the outbox that it empties
STEADY_S = 10.0  # a connection that lasted so long was a good one
BLIND = (
    "MQTT 3.1.1 cannot tell a refusal: a broker may acknowledge what it does not take; "
    "mqtt.protocol: 5 tells"
)


class MqttSink:
    """Empties one outbox of the store into a broker, on a thread of its own.

    Every method may be called from any thread. `info` is what the retained topic `info` says:
    digests, version, boot id; nothing secret.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        device: str,
        store: Store,
        info: Mapping[str, Any],
        meter: MqttMeter,
        died: Died,
        backoff: Backoff | None = None,
        unanswered_s: float = UNANSWERED_S,
    ) -> None:
        self._config = config
        self._device = device
        self._store = store
        self._meter = meter
        self._backoff = backoff or Backoff(longest_s=60.0)
        self._topics = Topics(base=f"{config.topic_prefix}/{device}")
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._retaining = Retaining()
        self._memory = self._memory_of(info, unanswered_s)
        self._thread = WatchedThread(self._run, name=f"sink-{SINK}", died=died)

    def _memory_of(self, info: Mapping[str, Any], unanswered_s: float) -> Memory:
        quiet_s = 0.0 if self._config.protocol == 5 else QUIET_S
        in_flight = InFlight(unanswered_s=unanswered_s, quiet_s=quiet_s)
        announcer = Announcer(
            self._config,
            device=self._device,
            topics=self._topics,
            info=info,
            today=Today(self._store, device=self._device),
            state=partial(state_payload, self._store, SINK, device=self._device),
        )
        return Memory(
            announcer=announcer,
            in_flight=in_flight,
            offers=Offers(self._store, SINK, topics=self._topics, in_flight=in_flight),
            pace=Pace(self._config.rate_per_s),
            troubles=Troubles(log, self._meter.mqtt_error),
            started_s=time.monotonic(),
        )

    def let_heads_come(self, inbox: HeadInbox) -> MqttSink:
        """Take orders for this recorder over its connection, too; called before `start`."""
        prefix = self._config.topic_prefix
        listener = HeadListener(inbox, prefix=prefix, device=self._device)
        self._memory = replace(self._memory, heads=listener)
        self._memory.announcer.heads = listener
        return self

    @property
    def alive(self) -> bool:
        """Whether its thread runs: false before `start`, after `stop`, and after a fault."""
        return self._thread.alive

    def start(self) -> None:
        """Begin; returns at once, whether or not there is a broker."""
        self._stop_listening = self._store.listen(self._wake)
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what can be sent, say `stopped`, and end within `timeout_s`.

        The rest stays in the outbox.
        """
        if not self._stopping.is_set():
            self._stop_listening()
            self._stop_by_s = time.monotonic() + timeout_s
            self._thread.expect_end()
            self._stopping.set()
        self._wake()
        self._thread.join(timeout_s + 0.5)

    def _wake(self) -> None:
        # A full pipe wakes as well; a closed one has nobody to wake.
        with contextlib.suppress(BlockingIOError, OSError):
            self._waker.send(b"\0")

    # Everything below runs on the sink's thread.

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._connect()
                self._meter.mqtt_connected(False)
                self._stopping.wait(self._backoff.next_s())
        finally:
            self._woken.close()
            self._waker.close()

    def _connect(self) -> None:
        """Hold one connection for as long as it lasts, and survive its end."""
        try:
            self._connection()
        except DeliveryError as exc:
            if not self._stopping.is_set():  # else it is the stop that ended it
                self._lost(exc)
        except StoreError as exc:
            self._memory.troubles.trouble("store", str(exc))

    def _lost(self, exc: DeliveryError) -> None:
        self._memory.troubles.trouble(exc.reason, str(exc))
        if isinstance(exc, FloodError):
            self._memory.flooded()
        if isinstance(exc, FloodError) or exc.reason == "unanswered":
            return  # it is the recorder that has ended it
        blamed = self._memory.in_flight.lost()
        if blamed is not None:
            size = f"{len(blamed.payload.encode())} bytes"
            text = f"the broker hangs up on {blamed.topic}, {size}; it waits, the others are sent"
            self._memory.troubles.trouble("puback", text, topic=blamed.topic)

    def _connection(self) -> None:
        """One connection, from its beginning to its end."""
        memory = self._memory
        memory.in_flight.begin()
        session = Session(
            self._config,
            client_id=f"edge-{self._device}",
            wake=self._woken,
            will=(self._topics.status, "offline"),
            on_message=memory.message,
            retain=self._retaining.wanted,
        )
        try:
            self._open(session)
            conversation = Conversation(
                session,
                self._config,
                topics=self._topics,
                store=self._store,
                sink=SINK,
                memory=memory,
                meter=self._meter,
            )
            self._converse(conversation)
        except BaseException:
            session.abort()  # not a goodbye: the broker is to send the will
            raise
        session.close()

    def _open(self, session: Session) -> None:
        try:
            session.open(cancelled=self._stopping.is_set)
        finally:
            self._retaining.tried(session)
        self._memory.troubles.connected(f"{self._config.host}:{self._config.port}")
        if self._config.protocol != 5:
            self._memory.troubles.once("protocol", BLIND)
        self._meter.mqtt_connected(True)
        self._memory.begin(session)

    def _converse(self, conversation: Conversation) -> None:
        steady_s = time.monotonic() + STEADY_S
        while not self._stopping.is_set():
            conversation.step()
            if time.monotonic() > steady_s:
                steady_s = math.inf
                self._backoff.reset()
                self._memory.troubles.steady()
            elif conversation.delivered:
                conversation.delivered = False
                self._backoff.reset()
        conversation.farewell(self._left_s)

    def _left_s(self) -> float:
        return max(0.0, self._stop_by_s - time.monotonic())
