"""What a sink says over one connection, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge.config.sections import MqttConfig
from edge.mqtt.announcer import Announcer
from edge.mqtt.granted import Ack, UnsendableError
from edge.mqtt.heads import HeadListener
from edge.mqtt.in_flight import InFlight, Sent
from edge.mqtt.offers import Offers
from edge.mqtt.pace import Pace
from edge.mqtt.refusals import Message
from edge.mqtt.session import Session
from edge.mqtt.topics import Topics
from edge.mqtt.troubles import Troubles
from edge.store.outbox import OutboxRow
from edge.store.store import Store

__all__ = ["Conversation", "Memory", "MqttMeter"]


class MqttMeter(Protocol):
    """Counts what a sink does, on the sink's thread; must not block."""

    def mqtt_connected(self, connected: bool) -> None:
        """Note that the connection came or went."""

    def mqtt_error(self, reason: str) -> None:
        """Count trouble, by one of `edge.mqtt.reasons.ERROR_REASONS`."""

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        """Count a delivered message; `delay_s` after it was stored, None if by an earlier run."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What outlives a connection."""

    announcer: Announcer
    in_flight: InFlight
    offers: Offers
    pace: Pace
    troubles: Troubles
    started_s: float
    heads: HeadListener | None = None

    def message(self, topic: str, payload: bytes) -> None:
        """Take what the broker has sent."""
        if topic == self.announcer.birth_topic:
            self.announcer.birth(payload)
        elif self.heads is not None:
            self.heads.message(topic, payload)

    def begin(self, session: Session) -> None:
        """Say and ask everything anew over a new connection."""
        self.offers.begin(session.granted.packet_bytes)
        self.announcer.begin(session)
        if self.heads is not None:
            self.heads.begin(session)

    def flooded(self) -> None:
        """Note that more came than a recorder reads."""
        self.announcer.flooded()
        if self.heads is not None:
            self.heads.flooded()


class Conversation:
    """Empties the outbox `sink` into an open session. One thread only."""

    def __init__(
        self,
        session: Session,
        config: MqttConfig,
        *,
        topics: Topics,
        store: Store,
        sink: str,
        memory: Memory,
        meter: MqttMeter,
    ) -> None:
        self._session = session
        self._config = config
        self._topics = topics
        self._store = store
        self._sink = sink
        self._announcer = memory.announcer
        self._in_flight = memory.in_flight
        self._offers = memory.offers
        self._pace = memory.pace
        self._troubles = memory.troubles
        self._started_s = memory.started_s
        self._heads = memory.heads
        self._meter = meter
        self.delivered = False  # whether anything was, since the last look

    def step(self) -> None:
        """Send and receive, waiting a second at most; raises `DeliveryError` at its end."""
        self._exchange(self._send())
        self._in_flight.check_answers()
        self._tell_subscriptions()
        if self._heads is not None:
            self._heads.step()

    def _exchange(self, wait_s: float) -> None:
        try:
            self._session.exchange(wait_s)
        finally:
            # An answer counts, even when the broker hung up right after it.
            self._settle(self._session.acks())

    def _send(self) -> float:
        """Publish what may go now; return for how many seconds there is nothing more to do."""
        self._announce()
        limit = min(self._in_flight.room(self._session.room), self._pace.allowance())
        if limit <= 0:
            return min(self._pace.wait_s, self._in_flight.wait_s)
        unsynced = time.monotonic() - self._started_s >= self._config.wait_for_sync_s
        rows, more = self._offers.next(limit, unsynced=unsynced)
        for row in rows:
            self._publish(self._topics.of(row), row.payload, row=row)
        self._pace.spend(len(rows))
        return 0.0 if more else self._pace.wait_s

    def _announce(self) -> None:
        """Say who this is, before anything that was found; what is not taken holds up nothing."""
        refusals = self._in_flight.refusals
        while self._in_flight.room(self._session.room) > 0:
            due = self._announcer.next(lambda topic: refusals.waits(Message(topic=topic, seq=None)))
            if due is None:
                return
            self._publish(*due, row=None)

    def _publish(self, topic: str, payload: str, *, row: OutboxRow | None) -> None:
        retain = row is None or row.kind == "health"
        try:
            mid = self._session.publish(topic, payload, retain=retain)
        except UnsendableError as exc:
            aside = "it is not sent"
            if row is not None:
                self._store.set_aside(self._sink, row, exc.reason)
                aside = "it is set aside"
            reason = "too_large" if exc.reason == "too_large" else "protocol"
            self._troubles.trouble(reason, f"{exc}; {aside}", topic=topic)
        else:
            self._in_flight.sent(mid, topic, payload, row)

    def _settle(self, acks: list[Ack]) -> None:
        """Take acknowledged rows out of the outbox."""
        for ack in acks:
            sent = self._in_flight.answered(ack)
            if sent is not None and ack.refusal is not None:
                self._refused(sent, ack.refusal)
            elif sent is not None:
                self._acknowledged(sent)
        rested = self._in_flight.rested()
        if rested is not None:
            self._acknowledged(rested)
        delivered = self._in_flight.delivered
        if delivered:
            # When this fails, on a full disk, the rows are remembered as delivered and not sent
            # twice.
            if self._store.done(self._sink, delivered.values()):
                self._offers.again()  # some were dated anew on their way
            delivered.clear()
            self.delivered = True

    def _refused(self, sent: Sent, refusal: str) -> None:
        text = f"the broker does not take {sent.topic}: {refusal}"
        self._troubles.trouble("puback", text, topic=sent.topic)
        if sent.row is None:
            self._announcer.put_back(sent.topic, sent.payload)

    def _acknowledged(self, sent: Sent) -> None:
        if sent.row is not None:
            stored_s = sent.row.stored_s
            delay_s = None if stored_s is None else time.monotonic() - stored_s
            self._meter.mqtt_acknowledged(sent.row.kind, delay_s)

    def _tell_subscriptions(self) -> None:
        refusal = self._session.subscriptions.pop(self._announcer.birth_topic, None)
        if refusal is not None:
            text = f"the broker does not let this recorder read {self._announcer.birth_topic}"
            self._troubles.once("birth", f"{text}, so Home Assistant's starts go unseen: {refusal}")
        topic = "" if self._heads is None else self._heads.topic
        refusal = self._session.subscriptions.pop(topic, None)
        if refusal is not None:
            text = f"the broker does not let this recorder read {topic}"
            self._troubles.once("heads", f"{text}, so no head can be sent to it: {refusal}")

    def farewell(self, left_s: Callable[[], float]) -> None:
        """Send what is left for as long as there is time, then say that this is on purpose."""
        while left_s() > 0.5:
            wait_s = self._send()
            if not self._in_flight and not self._pace.exhausted and wait_s > 0:
                break  # what is still there may not go now: it is refused, or waits for the clock
            self._exchange(min(wait_s, 0.2))
        while self._session.room <= 0 and left_s() > 0:
            self._exchange(min(0.1, left_s()))
        try:
            stopped = self._session.publish(self._topics.status, "stopped", retain=True)
        except UnsendableError:
            return  # a broker that is too small for a word
        while left_s() > 0:
            self._session.exchange(min(0.2, left_s()))
            acks = self._session.acks()
            self._settle(acks)
            if any(ack.mid == stopped for ack in acks):
                return
