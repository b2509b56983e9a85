"""Detections, effort and health to an MQTT broker: from the outbox, in order, each until it is
acknowledged.

A row leaves the outbox on PUBACK and not before. Connecting is this thread's business, for ever,
with a jittered back-off; a broker that is away, frozen, or refuses is a line in the log and a
metric, never the pipeline's concern. Subscribers see a message at least once, and count it once by
its id and state.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError, StoreError
from edge.mqtt.announcer import Announcer
from edge.mqtt.in_flight import InFlight
from edge.mqtt.pace import Pace
from edge.mqtt.session import Ack, Session
from edge.mqtt.topics import Topics
from edge.store.store import Store
from edge.threads import Died, WatchedThread

__all__ = ["MqttMeter", "MqttSink"]

log = logging.getLogger(__name__)

STEADY_S = 10.0  # a connection that lasted so long was a good one
REPEAT_S = 600.0  # the same trouble is logged again after so long


class MqttMeter(Protocol):
    """Counts what a sink does, on the sink's thread; must not block."""

    def mqtt_connected(self, connected: bool) -> None:
        """Note that the connection came or went."""

    def mqtt_error(self, reason: str) -> None:
        """Count trouble, by one of `edge.mqtt.reasons.ERROR_REASONS`."""

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        """Count a delivered message; `delay_s` after it was stored, None if by an earlier run."""


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
        name: str = "mqtt",
        backoff: Backoff | None = None,
    ) -> None:
        self._config = config
        self._device = device
        self._store = store
        self._meter = meter
        self._name = name
        self._backoff = backoff or Backoff(longest_s=60.0)
        self._topics = Topics(base=f"{config.topic_prefix}/{device}")
        self._announcer = Announcer(config, device=device, topics=self._topics, info=info)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._started_s = time.monotonic()
        self._in_flight = InFlight()
        self._pace = Pace(config.rate_per_s)
        self._last_trouble = ""
        self._last_trouble_s = 0.0
        self._thread = WatchedThread(self._run, name=f"sink-{name}", died=died)

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
                self._trouble(exc.reason, str(exc))
                blamed = self._in_flight.lost()
                if blamed is not None:
                    topic = self._topics.of(blamed)
                    self._trouble("puback", f"the broker hangs up on {topic}")
        except StoreError as exc:
            self._trouble("store", str(exc))

    def _connection(self) -> None:
        """One connection, from its beginning to its end."""
        self._in_flight.begin()
        session = Session(
            self._config,
            client_id=f"edge-{self._device}",
            wake=self._woken,
            will=(self._topics.status, "offline"),
            on_message=self._announcer.birth,
        )
        try:
            session.open(cancelled=self._stopping.is_set)
            opened_s = time.monotonic()
            log.info("connected to the broker %s:%d", self._config.host, self._config.port)
            self._meter.mqtt_connected(True)
            self._announcer.begin(session)
            while not self._stopping.is_set():
                self._announcer.publish(session)
                self._exchange(session, self._send(session))
                if time.monotonic() - opened_s > STEADY_S:
                    self._backoff.reset()
                    self._last_trouble = ""
            self._farewell(session)
        except BaseException:
            session.abort()  # not a goodbye: the broker is to send the will
            raise
        session.close()

    def _exchange(self, session: Session, wait_s: float) -> None:
        try:
            session.exchange(wait_s)
        finally:
            # An answer counts, even when the broker hung up right after it.
            self._settle(session.acks())

    def _send(self, session: Session) -> float:
        """Publish what may go now; return for how many seconds there is nothing more to do."""
        limit = min(self._in_flight.room(session.room), self._pace.allowance())
        if limit <= 0:
            return self._pace.wait_s
        unsynced = time.monotonic() - self._started_s >= self._config.wait_for_sync_s
        skip = self._in_flight.busy
        rows = self._store.pending(self._name, limit=limit, skip=skip, unsynced=unsynced)
        for row in rows:
            retain = row.kind == "health"
            mid = session.publish(self._topics.of(row), row.payload, retain=retain)
            self._in_flight.sent(mid, row)
        self._pace.spend(len(rows))
        return self._pace.wait_s

    def _settle(self, acks: list[Ack]) -> None:
        """Take acknowledged rows out of the outbox."""
        for ack in acks:
            row = self._in_flight.answered(ack)
            if ack.refusal is not None:
                others = f"{self._topics.status}, info or the discovery"
                topic = self._topics.of(row) if row else others
                self._trouble("puback", f"the broker does not take {topic}: {ack.refusal}")
            elif row is not None:
                delay_s = None if row.stored_s is None else time.monotonic() - row.stored_s
                self._meter.mqtt_acknowledged(row.kind, delay_s)
        delivered = self._in_flight.delivered
        if delivered:
            # When this fails, on a full disk, the rows are remembered as delivered and not sent
            # twice.
            self._store.done(self._name, sorted(delivered))
            delivered.clear()
            self._backoff.reset()

    def _farewell(self, session: Session) -> None:
        """Send what is left for as long as there is time, then say that this is on purpose."""
        while self._left_s() > 0.5:
            wait_s = self._send(session)
            if not self._in_flight and not self._pace.exhausted:
                break  # what is still there may not go now: it is refused, or waits for the clock
            self._exchange(session, min(wait_s, 0.2))
        while session.room <= 0 and self._left_s() > 0:
            self._exchange(session, min(0.1, self._left_s()))
        stopped = session.publish(self._topics.status, "stopped", retain=True)
        while self._left_s() > 0:
            session.exchange(min(0.2, self._left_s()))
            acks = session.acks()
            self._settle(acks)
            if any(ack.mid == stopped for ack in acks):
                return

    def _left_s(self) -> float:
        return max(0.0, self._stop_by_s - time.monotonic())

    def _trouble(self, reason: str, message: str) -> None:
        """Count it, and log it unless it is what was logged last."""
        self._meter.mqtt_error(reason)
        now_s = time.monotonic()
        if message != self._last_trouble or now_s - self._last_trouble_s >= REPEAT_S:
            self._last_trouble = message
            self._last_trouble_s = now_s
            log.warning("mqtt: %s", message)
