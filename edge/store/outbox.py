"""What still has to be sent: one outbox per sink, in the store's database, bounded in bytes.

A row leaves when the sink's far end has acknowledged it, or when the bound needs its place: then
the oldest row of another kind than detections goes first, and then the oldest detection. What was
dropped is counted for ever.

A row that cannot be sent is set aside: it stays in the same table as one of another sink, which
nobody empties, and the next row goes. Its place is the first that the bound takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Literal, cast, get_args

from edge.store.dating import Database, Dating, shift_times
from edge.store.outbox_row import COLUMNS, MESSAGE_KINDS, Kind, OutboxRow, row_of
from edge.store.outbox_tables import SIZES

__all__ = [
    "ASIDE_REASONS",
    "MESSAGE_KINDS",
    "AsideReason",
    "Kind",
    "Outbox",
    "OutboxRow",
    "tell_aside",
]

log = logging.getLogger(__name__)

# No message can be made of it, or the far end says that it takes none of this size.
AsideReason = Literal["unsendable", "too_large"]
ASIDE_REASONS: tuple[AsideReason, ...] = get_args(AsideReason)

COUNT = """
INSERT INTO outbox_dropped VALUES (?, ?, 1) ON CONFLICT (sink, kind) DO UPDATE SET rows = rows + 1
"""
PENDING = f"""
SELECT {COLUMNS} FROM outbox INDEXED BY outbox_order
WHERE sink = ? AND seq > ? AND (synced OR ?) ORDER BY seq LIMIT ?
"""
DELIVERED = """
SELECT kind FROM outbox WHERE seq = ? AND sink = ? AND kind = ? AND key = ? AND offset_us = ?
"""
RESIZE = """
INSERT INTO outbox_size VALUES (?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET rows = rows + excluded.rows, bytes = bytes + excluded.bytes
"""
MOST_ASIDE = 200  # rows in one transaction; the others wait for the next
FOREIGN = "SELECT seq FROM outbox WHERE sink NOT IN ({})"


class Outbox:
    """The outboxes' part of the store; the caller holds a transaction around every method.

    `bound_bytes` is for each sink, with what is set aside of it. `run` names this process.
    """

    def __init__(self, db: Database, *, bound_bytes: int, run: str) -> None:
        self._db = db
        self._bound_bytes = bound_bytes
        self._run = run

    def add(
        self, sink: str, kind: Kind, key: str, payload: str, *, dating: Dating, stored_us: int
    ) -> None:
        """Append a row and make it fit; an unsent row of the same key is replaced."""
        self._db.execute(
            "DELETE FROM outbox WHERE kind = ? AND key = ? AND sink = ?", (kind, key, sink)
        )
        row = {
            "sink": sink,
            "kind": kind,
            "key": key,
            "payload": payload,
            "bytes": len(payload.encode()),
            "boot_id": dating.boot_id,
            "offset_us": dating.offset_us,
            "synced": dating.synced,
            "run": self._run,
            "stored_us": stored_us,
        }
        names, places = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO outbox ({names}) VALUES ({places})", tuple(row.values()))
        while self._held_bytes(sink) > self._bound_bytes and self._drop_one(sink):
            pass

    def _held_bytes(self, sink: str) -> int:
        return sum(self.depth(name)[1] for name in (sink, *_aside(sink)))

    def _drop_one(self, sink: str) -> bool:
        """Make room by one row; return whether there was one."""
        for aside in _aside(sink):  # counted when it was set aside
            seq = self._oldest(aside)
            if seq is not None:
                self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
                return True
        # Kind by kind, so that each is one step in an index however much is waiting.
        oldest = [
            (kind == "detection", seq, kind)
            for kind in MESSAGE_KINDS
            if (seq := self._oldest(sink, kind)) is not None
        ]
        if oldest:
            _, seq, kind = min(oldest)
            self._db.execute(COUNT, (sink, kind))
        else:
            seq = self._oldest(sink)  # of a kind that damage has made
        self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
        return seq is not None

    def _oldest(self, sink: str, kind: str | None = None) -> int | None:
        of_kind, values = ("", (sink,)) if kind is None else (" AND kind = ?", (sink, kind))
        query = f"SELECT min(seq) FROM outbox WHERE sink = ?{of_kind}"
        seq: int | None = self._db.execute(query, values).fetchone()[0]
        return seq

    def pending(
        self, sink: str, *, limit: int, skip: Set[int], unsynced: bool, after: int
    ) -> tuple[list[OutboxRow], int]:
        """Return the oldest rows with numbers above `after`, without those in `skip`.

        Unless `unsynced`, those dated by a clock that was not set are left out, too. Rows among
        them that damage has made unreadable are set aside; returns how many.
        """
        aside = 0
        while True:
            found = self._db.execute(PENDING, (sink, after, unsynced, limit + len(skip)))
            values = [row for row in found.fetchall() if row[0] not in skip]
            rows = [(row[0], row_of(row, run=self._run)) for row in values]
            unreadable = [seq for seq, row in rows if row is None]
            self.set_aside(sink, unreadable, "unsendable")
            aside += len(unreadable)
            if not unreadable or aside > MOST_ASIDE:
                return [row for _, row in rows if row is not None][:limit], aside

    def done(self, sink: str, rows: Iterable[OutboxRow]) -> int:
        """Remove acknowledged rows; the detections and minutes in them count as sent.

        One that was dated anew while it was on its way stays, to be sent again: the far end has it
        with another time. Returns how many those are.
        """
        stayed = 0
        for row in rows:
            same = (row.seq, sink, row.kind, row.key, row.offset_us)
            if self._db.execute(DELIVERED, same).fetchone() is None:
                # Else it was replaced or dropped meanwhile.
                kept = "SELECT 1 FROM outbox WHERE seq = ? AND sink = ? AND kind = ? AND key = ?"
                stayed += self._db.execute(kept, same[:4]).fetchone() is not None
                continue
            table = {"detection": "detections", "effort": "effort"}.get(row.kind)
            if table is not None:
                self._db.execute(f"UPDATE {table} SET sent = 1 WHERE key = ?", (row.key,))
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (row.seq,))
        return stayed

    def set_aside(self, sink: str, seqs: Iterable[int], reason: AsideReason) -> None:
        """Let rows wait where nobody sends them, and count them."""
        for seq in seqs:
            if self._move(seq, sink, f"{sink}/{reason}"):
                self._db.execute(COUNT, (f"{sink}/{reason}", "any"))

    def redate(self, sinks: tuple[str, ...], dating: Dating) -> tuple[int, int]:
        """Correct what was dated by a clock that was not set; set aside what is too damaged for it.

        Returns how many rows that were, each.
        """
        shifted, damaged = shift_times(self._db, "outbox", "seq", "NOT synced", dating)
        for sink in sinks:
            self.set_aside(sink, damaged, "unsendable")
        return shifted, len(damaged)

    def take_back(self, sink: str, *, largest_bytes: int) -> int:
        """Queue again what was too large, up to payloads of `largest_bytes`; return how many."""
        aside = f"{sink}/too_large"
        query = "SELECT seq FROM outbox WHERE sink = ? AND bytes <= ?"
        seqs = self._db.execute(query, (aside, largest_bytes)).fetchall()
        return sum(self._move(seq, aside, sink) for (seq,) in seqs)

    def adopt(self, sinks: tuple[str, ...]) -> int:
        """Set aside the rows of sinks that do not exist; return how many there were."""
        known = [name for sink in sinks for name in (sink, *_aside(sink))]
        query = FOREIGN.format(", ".join("?" * len(known)))
        rows = self._db.execute(query, tuple(known)).fetchall() if sinks else []
        for (seq,) in rows:
            self._db.execute(
                "UPDATE outbox SET sink = ? WHERE seq = ?", (f"{sinks[0]}/unsendable", seq)
            )
            self._db.execute(COUNT, (f"{sinks[0]}/unsendable", "any"))
        if rows:
            self._db.execute("DELETE FROM outbox_size")
            self._db.execute(SIZES)
        return len(rows)

    def _move(self, seq: int, sink: str, to: str) -> bool:
        """Move a row to another sink; return whether it was there."""
        query = "SELECT bytes FROM outbox WHERE seq = ? AND sink = ?"
        row = self._db.execute(query, (seq, sink)).fetchone()
        if row is None:
            return False
        self._db.execute("UPDATE outbox SET sink = ? WHERE seq = ?", (to, seq))
        self._db.execute(RESIZE, (sink, -1, -row[0]))
        self._db.execute(RESIZE, (to, 1, row[0]))
        return True

    def depth(self, sink: str) -> tuple[int, int]:
        """Return rows and bytes that wait."""
        row = self._db.execute(
            "SELECT rows, bytes FROM outbox_size WHERE sink = ?", (sink,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def dropped(self, sink: str) -> dict[str, int]:
        """Return how many rows the bound has cost, by kind, since the database was made."""
        counts = dict(self._counted(sink))
        return {kind: counts[kind] for kind in MESSAGE_KINDS if kind in counts}

    def aside(self, sink: str) -> dict[AsideReason, int]:
        """Return how many rows were set aside, by reason, since the database was made."""
        return {
            reason: sum(count for _, count in self._counted(f"{sink}/{reason}"))
            for reason in ASIDE_REASONS
        }

    def _counted(self, sink: str) -> Iterator[tuple[str, int]]:
        query = "SELECT kind, rows FROM outbox_dropped WHERE sink = ?"
        return cast("Iterator[tuple[str, int]]", self._db.execute(query, (sink,)))


def _aside(sink: str) -> tuple[str, ...]:
    """Return the names under which what is set aside of `sink` is kept."""
    return tuple(f"{sink}/{reason}" for reason in ASIDE_REASONS)


def tell_aside(path: Path, count: int, why: str) -> None:
    """Log that rows of the store at `path` were set aside, if any were."""
    if count:
        text = "store %s: %d messages are set aside, since %s; the others are sent"
        log.error(text, path, count, why)
