"""Rows on their way to the broker: sent, not yet answered, or answered and still in the outbox."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.mqtt.refusals import Refusals
from edge.mqtt.session import Ack
from edge.store.outbox import OutboxRow

__all__ = ["InFlight"]

# A connection that ends later than this after the last message did not end because of it.
HANGUP_S = 5.0


class InFlight:
    """The memory of one sink over its connections. One thread only."""

    def __init__(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._rows: dict[int, OutboxRow] = {}  # by message id
        self._sent_s = 0.0
        self._refusals = Refusals(monotonic_s=monotonic_s)
        self.delivered: set[int] = set()  # acknowledged, but not yet out of the outbox

    def __bool__(self) -> bool:
        return bool(self._rows)

    def begin(self) -> None:
        """Forget what was unanswered: a new connection sends it again."""
        self._rows.clear()

    @property
    def busy(self) -> set[int]:
        """The rows that are not to be sent now: on their way, delivered, or refused of late."""
        return {row.seq for row in self._rows.values()} | self.delivered | self._refusals.now()

    def room(self, free: int) -> int:
        """Return how many more may be sent, of the `free` ones that the broker takes."""
        room = free - len(self.delivered)
        if self._refusals.one_at_a_time:
            room = min(room, 1 - len(self._rows))
        return room

    def sent(self, mid: int, row: OutboxRow) -> None:
        """Note that `row` went as message `mid`."""
        self._rows[mid] = row
        self._sent_s = self._monotonic_s()

    def answered(self, ack: Ack) -> OutboxRow | None:
        """Note the broker's answer; return its row, None for a message that is not one."""
        row = self._rows.pop(ack.mid, None)
        if row is not None and ack.refusal is not None:
            self._refusals.refuse(row.seq)
        elif row is not None:
            self._refusals.taken()
            self.delivered.add(row.seq)
        return row

    def lost(self) -> OutboxRow | None:
        """Note that the connection has ended; return the row that such ends are blamed on.

        That row waits from now on, so that the others arrive.
        """
        recent = self._monotonic_s() - self._sent_s < HANGUP_S
        blamed = {row.seq: row for row in self._rows.values()} if recent else {}
        seq = self._refusals.ended(set(blamed))
        return None if seq is None else blamed[seq]
