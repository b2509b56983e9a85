"""Detections, effort and health to an MQTT broker: from the outbox, in order, until each one is
acknowledged.

A row leaves the outbox on PUBACK and not before. Connecting is this thread's business, for ever,
with a jittered back-off; a broker that is away, frozen, or refuses is a line in the log and a
metric, never the pipeline's concern. Subscribers see a message at least once, and count it once by
its id and state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError, StoreError
from edge.mqtt.homeassistant import discovery
from edge.mqtt.refusals import Refusals
from edge.mqtt.session import Ack, Session, probe
from edge.store.outbox import OutboxRow
from edge.store.store import Store

__all__ = ["MqttMeter", "MqttSink", "probe", "slug"]

log = logging.getLogger(__name__)

STEADY_S = 10.0  # a connection that lasted so long was a good one
REPEAT_S = 600.0  # the same trouble is logged again after so long
ANNOUNCE_S = 1.0  # whoever shouts that Home Assistant was born is not answered more often than this
# a connection that ends later than this after the last message did not end because of it
HANGUP_S = 5.0


class MqttMeter(Protocol):
    """Counts what a sink does, on the sink's thread; must not block."""

    def mqtt_connected(self, connected: bool) -> None:
        """The connection came or went."""

    def mqtt_error(self, kind: str) -> None:
        """Trouble, of one of `edge.mqtt.session.ERROR_REASONS`."""

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        """A row of a kind of message was delivered, so long after it was stored; None when that was
        in an earlier process.
        """


class MqttSink:
    """Empties one outbox of the store into a broker, on a thread of its own. Every method may be
    called from any thread.

    `info` is what the retained topic `info` says: digests, version, boot id; nothing secret.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        device: str,
        store: Store,
        info: Mapping[str, Any],
        meter: MqttMeter,
        name: str = "mqtt",
        backoff: Backoff | None = None,
    ) -> None:
        self._config = config
        self._device = device
        self._store = store
        self._info = dict(info)
        self._meter = meter
        self._name = name
        self._backoff = backoff or Backoff(longest_s=60.0)
        self._base = f"{config.topic_prefix}/{device}"
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._announce_due = False
        self._announced_s = 0.0
        self._announcements: deque[tuple[str, str]] = deque()
        self._sent_s = 0.0
        self._started_s = time.monotonic()
        self._on_the_way: dict[int, OutboxRow] = {}  # by message id
        self._delivered: set[int] = set()  # acknowledged, but not yet out of the outbox
        self._refusals = Refusals()
        self._tokens = config.rate_per_s
        self._tokens_s = time.monotonic()
        self._told: tuple[str, float] = ("", 0.0)
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false after `stop`, or after a fault of this program, which the
        caller should not survive.
        """
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin; returns at once, whether or not there is a broker."""
        self._stop_listening = self._store.listen(self._wake)
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what can be sent, say `stopped`, and end within `timeout_s`; the rest stays in the
        outbox.
        """
        if not self._stopping.is_set():
            self._stop_listening()
            self._stop_by_s = time.monotonic() + timeout_s
            self._stopping.set()
        self._wake()
        self._thread.join(timeout_s + 0.5)

    def update_info(self, info: Mapping[str, Any]) -> None:
        """Publish another `info`, after a reload."""
        self._info = dict(info)
        self._announce_due = True
        self._wake()

    def _wake(self) -> None:
        # a full pipe wakes as well; a closed one has nobody to wake
        with contextlib.suppress(BlockingIOError, OSError):
            self._waker.send(b"\0")

    # Everything below runs on the sink's thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connection()
            except DeliveryError as exc:
                if not self._stopping.is_set():  # else it is the stop that ended it
                    self._trouble(exc.reason, str(exc))
                    self._ended()
            except StoreError as exc:
                self._trouble("store", str(exc))
            self._meter.mqtt_connected(False)
            self._stopping.wait(self._backoff.next_s())
        self._woken.close()
        self._waker.close()

    def _connection(self) -> None:
        """One connection, from its beginning to its end."""
        self._on_the_way.clear()
        will = (f"{self._base}/status", "offline")
        session = Session(
            self._config,
            client_id=f"edge-{self._device}",
            wake=self._woken,
            will=will,
            on_message=self._birth,
        )
        try:
            session.open(cancelled=self._stopping.is_set)
            opened_s = time.monotonic()
            log.info("connected to the broker %s:%d", self._config.host, self._config.port)
            self._meter.mqtt_connected(True)
            if self._config.home_assistant:
                session.subscribe(f"{self._config.home_assistant_prefix}/status")
            self._announce_due, self._announced_s = True, 0.0
            while not self._stopping.is_set():
                self._round(session)
                if time.monotonic() - opened_s > STEADY_S:
                    self._backoff.reset()
                    self._told = ("", 0.0)
            self._farewell(session)
        except BaseException:
            session.abort()  # not a goodbye: the broker is to send the will
            raise
        session.close()

    def _round(self, session: Session) -> None:
        now_s = time.monotonic()
        if self._announce_due and now_s - self._announced_s >= ANNOUNCE_S:
            self._announce_due, self._announced_s = False, now_s
            self._announcements = deque(self._introduction())
        while self._announcements and session.room > 0:
            session.publish(*self._announcements.popleft(), retain=True)
        self._step(session, self._send(session))

    def _step(self, session: Session, wait_s: float) -> None:
        try:
            session.step(wait_s)
        finally:
            # an answer counts, even when the broker hung up right after it
            self._settle(session.acks())

    def _ended(self) -> None:
        """A connection was lost: whoever it ended on again and again waits, so that the others
        arrive.
        """
        blamed = self._on_the_way.values() if time.monotonic() - self._sent_s < HANGUP_S else ()
        seq = self._refusals.ended({row.seq for row in blamed})
        for row in self._on_the_way.values():
            if row.seq == seq:
                self._trouble("puback", f"the broker hangs up on {self._topic(row)}")

    def _introduction(self) -> Iterator[tuple[str, str]]:
        """Topics and payloads that say who this is, all retained."""
        yield f"{self._base}/info", json.dumps(self._info)
        if self._config.home_assistant:
            topic = f"{self._config.home_assistant_prefix}/device/edge_{self._device}/config"
            yield topic, json.dumps(discovery(self._device, base=self._base, info=self._info))
        yield f"{self._base}/status", "online"

    def _birth(self, payload: bytes) -> None:
        """Home Assistant has started and forgotten; anything else it or anyone says there is not
        for us.
        """
        if payload == b"online":
            self._announce_due = True

    def _send(self, session: Session) -> float:
        """Publish what may go now; how long there is nothing more to do, in seconds."""
        now_s = time.monotonic()
        busy = (
            {row.seq for row in self._on_the_way.values()} | self._delivered | self._refusals.now()
        )
        rate = self._config.rate_per_s
        self._tokens = min(max(rate, 1.0), self._tokens + (now_s - self._tokens_s) * rate)
        self._tokens_s = now_s
        room = session.room - len(self._delivered)
        if self._refusals.one_at_a_time:
            room = min(room, 1 - len(self._on_the_way))
        if room <= 0:
            return 1.0
        unsynced = now_s - self._started_s >= self._config.wait_for_sync_s
        limit = min(room, int(self._tokens))
        rows = (
            self._store.pending(self._name, limit=limit, skip=busy, unsynced=unsynced)
            if limit
            else []
        )
        for row in rows:
            self._on_the_way[
                session.publish(self._topic(row), row.payload, retain=row.kind == "health")
            ] = row
            self._sent_s = now_s
        self._tokens -= len(rows)
        return min(1.0, 1.0 / rate) if self._tokens < 1 else 1.0

    def _topic(self, row: OutboxRow) -> str:
        if row.kind != "detection":
            return f"{self._base}/{row.kind}"
        return f"{self._base}/detection/{slug(json.loads(row.payload)['label'])}"

    def _settle(self, acks: list[Ack]) -> None:
        """Take acknowledged rows out of the outbox."""
        for ack in acks:
            row = self._on_the_way.pop(ack.mid, None)
            if row is None:
                if ack.refusal is not None:
                    self._trouble(
                        "puback",
                        (
                            f"the broker does not take {self._base}/status, info or the "
                            "announcement: "
                            f"{ack.refusal}"
                        ),
                    )
                continue
            if ack.refusal is not None:
                self._refusals.refuse(row.seq)
                self._trouble(
                    "puback", f"the broker does not take {self._topic(row)}: {ack.refusal}"
                )
                continue
            self._refusals.taken()
            self._delivered.add(row.seq)
            self._meter.mqtt_acknowledged(
                row.kind, None if row.stored_s is None else time.monotonic() - row.stored_s
            )
        if self._delivered:
            # When this fails, on a full disk, the rows are remembered as delivered and not sent
            # twice.
            self._store.done(self._name, sorted(self._delivered))
            self._delivered.clear()
            self._backoff.reset()

    def _farewell(self, session: Session) -> None:
        """Send what is left for as long as there is time, then say that this is on purpose."""
        while self._left_s() > 0.5:
            wait_s = self._send(session)
            if not self._on_the_way and self._tokens >= 1:
                break  # what is still there may not go now: it is refused, or waits for the clock
            self._step(session, min(wait_s, 0.2))
        while session.room <= 0 and self._left_s() > 0:
            self._step(session, min(0.1, self._left_s()))
        stopped = session.publish(f"{self._base}/status", "stopped", retain=True)
        while self._left_s() > 0:
            session.step(min(0.2, self._left_s()))
            acks = session.acks()
            self._settle(acks)
            if any(ack.mid == stopped for ack in acks):
                return

    def _left_s(self) -> float:
        return max(0.0, self._stop_by_s - time.monotonic())

    def _trouble(self, kind: str, message: str) -> None:
        """Count it, and log it unless it is what was just said."""
        self._meter.mqtt_error(kind)
        now_s = time.monotonic()
        if message != self._told[0] or now_s - self._told[1] >= REPEAT_S:
            self._told = (message, now_s)
            log.warning("mqtt: %s", message)


def slug(label: str | None) -> str:
    """The level of a topic for a label: lower case letters, digits and underscores; `unknown` for
    None and for nothing else.
    """
    if label is None:
        return "unknown"
    plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return plain if plain not in ("", "unknown") else f"label_{plain}".rstrip("_")
