"""What still has to be sent: one outbox per sink, in the store's database, bounded in bytes.

A row leaves when the sink's far end has acknowledged it, or when the bound needs its place: then
the oldest row of another kind than detections goes first, and then the oldest detection. What was
dropped is counted for ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Literal

from edge.store.dating import Dating

__all__ = ["MESSAGE_KINDS", "TABLES", "Dating", "Kind", "Outbox", "OutboxRow"]

Kind = Literal["detection", "effort", "health"]
MESSAGE_KINDS: tuple[Kind, ...] = ("detection", "effort", "health")

TABLES = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, kind TEXT NOT NULL,
    key TEXT NOT NULL, payload TEXT NOT NULL, bytes INTEGER NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    run TEXT NOT NULL, stored_us INTEGER NOT NULL);
CREATE INDEX outbox_order ON outbox (sink, seq);
CREATE INDEX outbox_kinds ON outbox (sink, kind, seq);
CREATE INDEX outbox_key ON outbox (kind, key);
CREATE TABLE outbox_size (sink TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE outbox_dropped (
    sink TEXT NOT NULL, kind TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (sink, kind));
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    INSERT INTO outbox_size VALUES (new.sink, 1, new.bytes)
    ON CONFLICT (sink) DO UPDATE SET rows = rows + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_size SET rows = rows - 1, bytes = bytes - old.bytes WHERE sink = old.sink;
END;
"""
COUNT_DROPPED = """
INSERT INTO outbox_dropped VALUES (?, ?, 1) ON CONFLICT (sink, kind) DO UPDATE SET rows = rows + 1
"""


@dataclass(frozen=True, kw_only=True)
class OutboxRow:
    """One message to send; the older of two has the smaller `seq`.

    `stored_s` is the monotonic time of storing, None for a row of an earlier process.
    """

    seq: int
    kind: Kind
    payload: str
    stored_s: float | None


class Outbox:
    """The outboxes' part of the store; the caller holds a transaction around every method.

    `bound_bytes` is for each sink, `run` names this process.
    """

    def __init__(self, db: sqlite3.Connection, *, bound_bytes: int, run: str) -> None:
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
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        self._db.execute(f"INSERT INTO outbox ({names}) VALUES ({places})", row)
        while self.depth(sink)[1] > self._bound_bytes:
            self._drop_one(sink)

    def _drop_one(self, sink: str) -> None:
        # Kind by kind, so that each is one step in an index however much is waiting.
        oldest = [
            (kind == "detection", seq, kind)
            for kind in MESSAGE_KINDS
            for (seq,) in self._db.execute(
                "SELECT min(seq) FROM outbox WHERE sink = ? AND kind = ?", (sink, kind)
            )
            if seq is not None
        ]
        _, seq, kind = min(oldest)
        self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
        self._db.execute(COUNT_DROPPED, (sink, kind))

    def pending(self, sink: str, *, limit: int, skip: Set[int], unsynced: bool) -> list[OutboxRow]:
        """Return the oldest rows, without those in `skip`.

        Unless `unsynced`, those dated by a clock that was not set are left out, too.
        """
        rows = self._db.execute(
            "SELECT seq, kind, payload, run, stored_us FROM outbox INDEXED BY outbox_order"
            " WHERE sink = ? AND (synced OR ?) ORDER BY seq LIMIT ?",
            (sink, unsynced, limit + len(skip)),
        )
        return [
            OutboxRow(
                seq=seq,
                kind=kind,
                payload=payload,
                stored_s=stored_us / 1e6 if run == self._run else None,
            )
            for seq, kind, payload, run, stored_us in rows
            if seq not in skip
        ][:limit]

    def done(self, sink: str, seqs: Iterable[int]) -> None:
        """Remove acknowledged rows; the detections and minutes in them count as sent."""
        for seq in seqs:
            row = self._db.execute(
                "SELECT kind, key FROM outbox WHERE seq = ? AND sink = ?", (seq, sink)
            ).fetchone()
            if row is None:
                continue  # replaced or dropped while it was on its way
            table = {"detection": "detections", "effort": "effort"}.get(row[0])
            if table is not None:
                self._db.execute(f"UPDATE {table} SET sent = 1 WHERE key = ?", (row[1],))
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))

    def depth(self, sink: str) -> tuple[int, int]:
        """Return rows and bytes that wait."""
        row = self._db.execute(
            "SELECT rows, bytes FROM outbox_size WHERE sink = ?", (sink,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def dropped(self, sink: str) -> dict[str, int]:
        """Return how many rows the bound has cost, by kind, since the database was made."""
        return dict(
            self._db.execute(
                "SELECT kind, rows FROM outbox_dropped WHERE sink = ?", (sink,)
            ).fetchall()
        )
