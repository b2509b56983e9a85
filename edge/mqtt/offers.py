"""Which rows of the outbox are offered to the broker next."""

from __future__ import annotations

from edge.mqtt.in_flight import InFlight
from edge.mqtt.refusals import Message
from edge.mqtt.topics import Topics
from edge.store.outbox import OutboxRow
from edge.store.store import Store

__all__ = ["Offers"]

SCANNED = 100  # rows at once, where some of them have to wait
ROOM_BYTES = 300  # of a packet, beside the payload: topic, numbers, length
UNBOUNDED = 1 << 62


class Offers:
    """Goes through the outbox from the oldest row to the newest, past those that wait.

    It begins again when one of them may go: so that a hundred thousand refused rows are not looked
    at for each new one. One thread only.
    """

    def __init__(self, store: Store, sink: str, *, topics: Topics, in_flight: InFlight) -> None:
        self._store = store
        self._sink = sink
        self._topics = topics
        self._in_flight = in_flight
        self._after = -1  # the row up to which all were offered, or have to wait
        self._seen: tuple[int, bool] = (store.generation, False)

    def begin(self, largest_bytes: int | None) -> None:
        """Begin again for a new connection, with what an earlier broker found too large.

        `largest_bytes` is the largest packet that this one takes, None where it has no limit.
        """
        largest = UNBOUNDED if largest_bytes is None else largest_bytes - ROOM_BYTES
        self._store.take_back(self._sink, largest_bytes=largest)
        self.again()

    def again(self) -> None:
        """Begin again with the oldest row."""
        self._after = -1

    def next(self, limit: int, *, unsynced: bool) -> tuple[list[OutboxRow], bool]:
        """Return up to `limit` rows, and whether there may be more to look at now."""
        refusals = self._in_flight.refusals
        seen = (self._store.generation, unsynced)
        if seen != self._seen or refusals.released():
            self._seen = seen
            self.again()
        scanned = max(limit, SCANNED) if refusals.any else limit
        found = self._store.pending(
            self._sink,
            limit=scanned,
            skip=self._in_flight.busy,
            unsynced=unsynced,
            after=self._after,
        )
        rows: list[OutboxRow] = []
        for row in found:
            if len(rows) == limit:
                return rows, False
            self._after = row.seq
            if not refusals.waits(Message(topic=self._topics.of(row), seq=row.seq)):
                rows.append(row)
        return rows, len(found) == scanned and len(rows) < limit
