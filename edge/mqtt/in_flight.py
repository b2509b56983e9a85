"""Messages on their way to the broker: sent, not yet answered, or answered and in the outbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import DeliveryError
from edge.mqtt.granted import Ack
from edge.mqtt.refusals import Message, Refusals
from edge.store.outbox import OutboxRow

__all__ = ["InFlight", "Sent"]

# A connection that ends later than this after the last message did not end because of it.
HANGUP_S = 5.0
UNANSWERED_S = 60.0  # a broker that acknowledges nothing for so long does not work
# With MQTT 3.1.1 a broker may acknowledge what it does not grant, and then hang up.
QUIET_S = 0.25
FORGOTTEN = 3  # times that, and a single message is one that it does not answer


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that was published at `sent_s`; `row` is None for an announcement."""

    topic: str
    payload: str
    row: OutboxRow | None
    sent_s: float

    @property
    def message(self) -> Message:
        """What refusals know it by."""
        return Message(topic=self.topic, seq=None if self.row is None else self.row.seq)


class InFlight:
    """The memory of one sink over its connections. One thread only.

    While messages go one at a time, an acknowledged one counts when the connection has lasted for
    `quiet_s` after it.
    """

    def __init__(
        self,
        *,
        unanswered_s: float = UNANSWERED_S,
        quiet_s: float = 0.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unanswered_s = unanswered_s
        self._quiet_s = quiet_s
        self._resting: Sent | None = None  # acknowledged, and the connection has to last
        self._monotonic_s = monotonic_s
        self._sent: dict[int, Sent] = {}  # by message id, the oldest first
        self._sent_s = self._answered_s = -HANGUP_S  # when the last was
        self.refusals = Refusals(monotonic_s=monotonic_s)
        self.delivered: dict[int, OutboxRow] = {}  # acknowledged, but not yet out of the outbox

    def __bool__(self) -> bool:
        return bool(self._sent)

    def begin(self) -> None:
        """Forget what was unanswered: a new connection sends it again."""
        self._sent.clear()
        self._resting = None

    @property
    def busy(self) -> set[int]:
        """The rows that are on their way or delivered, and not to be sent."""
        rows = (sent.row for sent in self._open())
        return {row.seq for row in rows if row is not None} | set(self.delivered)

    def room(self, free: int) -> int:
        """Return how many more may be sent, of the `free` ones that the broker takes."""
        if self.refusals.paused or self._resting is not None:
            return 0
        room = free - len(self.delivered)
        if self.refusals.one_at_a_time:
            room = min(room, 1 - len(self._sent))
        return room

    def sent(self, mid: int, topic: str, payload: str, row: OutboxRow | None) -> None:
        """Note that a message went as `mid`."""
        self._sent_s = self._monotonic_s()
        self._sent[mid] = Sent(topic=topic, payload=payload, row=row, sent_s=self._sent_s)

    def answered(self, ack: Ack) -> Sent | None:
        """Note the broker's answer; return what it is for, None where that is not known yet."""
        sent = self._sent.pop(ack.mid, None)
        if sent is None:
            return None
        self._answered_s = self._monotonic_s()
        if ack.refusal is not None:
            self.refusals.refuse(sent.message, whole_topic=ack.of_topic)
        elif self.refusals.one_at_a_time and self._quiet_s > 0:
            self._resting = sent
            return None
        else:
            self._taken(sent)
        return sent

    def rested(self) -> Sent | None:
        """Return an acknowledged message after which the connection has lasted."""
        sent = self._resting
        if sent is None or self._monotonic_s() - self._answered_s < self._quiet_s:
            return None
        self._resting = None
        self._taken(sent)
        return sent

    @property
    def wait_s(self) -> float:
        """How long there may be nothing to do."""
        return self._quiet_s if self._resting is not None else float("inf")

    def _taken(self, sent: Sent) -> None:
        self.refusals.taken(sent.message)
        if sent.row is not None:
            self.delivered[sent.row.seq] = sent.row

    def _open(self) -> list[Sent]:
        return [*self._sent.values(), *([self._resting] if self._resting is not None else [])]

    def check_answers(self) -> None:
        """Raise `DeliveryError` where the broker has not acknowledged a message for too long."""
        if not self._sent:
            return
        now_s = self._monotonic_s()
        oldest = next(iter(self._sent.values()))
        silent_s = now_s - max(oldest.sent_s, self._answered_s)
        forgotten = now_s - oldest.sent_s > FORGOTTEN * self._unanswered_s
        if forgotten and silent_s <= self._unanswered_s:
            self.refusals.refuse(oldest.message)  # the others are answered
        elif silent_s <= self._unanswered_s:
            return
        seconds = f"{now_s - oldest.sent_s:.0f} s"
        text = f"the broker has not acknowledged {oldest.topic} for {seconds}; connecting anew"
        raise DeliveryError("unanswered", text)

    def lost(self) -> Sent | None:
        """Note that the connection has ended; return the message that such ends are blamed on.

        That one waits from now on, so that the others arrive.
        """
        if self._monotonic_s() - max(self._sent_s, self._answered_s) > HANGUP_S:
            return None
        unanswered = {sent.message: sent for sent in self._open()}
        blamed = self.refusals.ended(list(unanswered))
        return None if blamed is None else unanswered[blamed]
