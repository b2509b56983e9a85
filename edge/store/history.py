"""What was heard, kept after it was sent: detections, embeddings and the effort ledger, in the
store's database, bounded in bytes.

The oldest row goes first, whatever it tells. An outbox has its own copy of what it still has to
send, so the bound costs no message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from edge.clock import rfc3339
from edge.store.effort import EffortMinute
from edge.store.outbox import Dating
from edge.types import Array

__all__ = ["TABLES", "History", "shift"]

# `number` grows with age across both tables, so that the oldest of all is known.
TABLES = """
CREATE TABLE history (bytes INTEGER NOT NULL, next INTEGER NOT NULL);
INSERT INTO history VALUES (0, 1);
CREATE TABLE detections (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, state TEXT NOT NULL,
    payload TEXT NOT NULL, bytes INTEGER NOT NULL,
    start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX detections_id ON detections (id);
CREATE INDEX detections_undated ON detections (boot_id) WHERE NOT synced AND NOT sent;
CREATE TABLE embeddings (id TEXT PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE effort (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
    start_utc TEXT NOT NULL, start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    sample_rate_hz INTEGER NOT NULL,
    heard_s REAL NOT NULL, lost_s REAL NOT NULL, gated_s REAL NOT NULL, dropped_s REAL NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX effort_undated ON effort (boot_id) WHERE NOT synced AND NOT sent;
CREATE TRIGGER detections_added AFTER INSERT ON detections BEGIN
    UPDATE history SET bytes = bytes + new.bytes, next = next + 1;
END;
CREATE TRIGGER effort_added AFTER INSERT ON effort BEGIN
    UPDATE history SET bytes = bytes + new.bytes, next = next + 1;
END;
CREATE TRIGGER embeddings_added AFTER INSERT ON embeddings BEGIN
    UPDATE history SET bytes = bytes + length(new.vector);
END;
CREATE TRIGGER effort_removed AFTER DELETE ON effort BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
END;
CREATE TRIGGER embeddings_removed AFTER DELETE ON embeddings BEGIN
    UPDATE history SET bytes = bytes - length(old.vector);
END;
CREATE TRIGGER detections_removed AFTER DELETE ON detections BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
    DELETE FROM embeddings
    WHERE id = old.id AND NOT EXISTS (SELECT 1 FROM detections WHERE id = old.id);
END;
"""
TIMES = ("start_utc", "end_utc", "time_utc")
# numbers, indexes and the room that a page of the file leaves, over the text of a row
ROW_BYTES = 150
# rows; a bound that was lowered is reached over some writes, none of which takes long
PRUNED_AT_ONCE = 1000


class History:
    """The history's part of the store. Every method runs inside a transaction that the caller
    holds.
    """

    def __init__(self, db: sqlite3.Connection, *, bound_bytes: int) -> None:
        self._db = db
        self.bound_bytes = bound_bytes

    @property
    def size_bytes(self) -> int:
        """What the rows take in the file, about."""
        return int(self._db.execute("SELECT bytes FROM history").fetchone()[0])

    def add_detection(
        self,
        key: str,
        payload: Mapping[str, Any],
        text: str,
        *,
        dating: Dating,
        embedding: Array | None = None,
    ) -> bool:
        """Keep `payload`, which is `text` as JSON, under its id and state; False when it is known,
        and no later `update`.
        """
        known = self._db.execute(
            "SELECT end_sample FROM detections WHERE key = ?", (key,)
        ).fetchone()
        if known is not None:
            if payload["state"] != "update" or payload["end_sample"] <= known[0]:
                return False
            self._db.execute("DELETE FROM detections WHERE key = ?", (key,))
        row = (
            key,
            payload["id"],
            payload["state"],
            text,
            len(text.encode()) + 2 * len(key) + ROW_BYTES,
        )
        samples = (payload["start_sample"], payload["end_sample"])
        self._db.execute(
            "INSERT INTO detections (number, key, id, state, payload, bytes, start_sample, "
            "end_sample, boot_id, offset_us, synced)"
            " VALUES ((SELECT next FROM history), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, *samples, dating.boot_id, dating.offset_us, dating.synced),
        )
        if embedding is not None:
            # Not REPLACE, which removes without the trigger that counts.
            self._db.execute("DELETE FROM embeddings WHERE id = ?", (payload["id"],))
            vector = np.ascontiguousarray(embedding, "<f4").tobytes()
            self._db.execute("INSERT INTO embeddings VALUES (?, ?)", (payload["id"], vector))
        self._prune()
        return True

    def add_minute(self, key: str, minute: EffortMinute, *, start_utc: str, dating: Dating) -> bool:
        """Enter a minute into the ledger; whether it was new."""
        seconds = [
            minute.seconds("heard"),
            minute.seconds("lost"),
            minute.seconds("gated"),
            minute.seconds("dropped"),
        ]
        size = 2 * len(key) + len(start_utc) + len(dating.boot_id) + ROW_BYTES
        row = (
            key,
            size,
            start_utc,
            minute.start_sample,
            minute.end_sample,
            minute.sample_rate_hz,
            *seconds,
        )
        added = self._db.execute(
            (
                "INSERT OR IGNORE INTO effort VALUES ((SELECT next FROM history), ?, ?, ?, ?, ?, "
                "?, "
                "?, "
                "?, ?, ?, ?, ?, ?, 0)"
            ),
            (*row, dating.boot_id, dating.offset_us, dating.synced),
        )
        if added.rowcount == 0:
            return False
        self._prune()
        return True

    def redate(self, dating: Dating) -> None:
        """Correct the times of this start of the machine that were not vouched for and are not
        sent.
        """
        shift(self._db, "detections", "number", "NOT synced AND NOT sent", dating)
        rows = self._db.execute(
            (
                "SELECT number, start_utc, offset_us FROM effort WHERE boot_id = ? AND NOT synced "
                "AND "
                "NOT sent"
            ),
            (dating.boot_id,),
        ).fetchall()
        for number, start_utc, offset_us in rows:
            start = _moved(start_utc, dating.offset_us - offset_us)
            self._db.execute(
                "UPDATE effort SET start_utc = ?, offset_us = ?, synced = 1 WHERE number = ?",
                (start, dating.offset_us, number),
            )

    def detections(self) -> Iterator[dict[str, Any]]:
        """Payloads, oldest first."""
        rows = self._db.execute("SELECT payload FROM detections ORDER BY number").fetchall()
        return (json.loads(payload) for (payload,) in rows)

    def embedding(self, id: str) -> Array | None:
        """Embedding (D,) float32 of an event."""
        row = self._db.execute("SELECT vector FROM embeddings WHERE id = ?", (id,)).fetchone()
        return np.frombuffer(row[0], "<f4").astype(np.float32) if row else None

    def _prune(self) -> None:
        for _ in range(PRUNED_AT_ONCE):
            excess = self.size_bytes - self.bound_bytes
            if excess <= 0:
                return
            first = self._db.execute("SELECT min(number) FROM detections").fetchone()[0]
            minute = self._db.execute(
                "SELECT number, bytes FROM effort ORDER BY number LIMIT 1"
            ).fetchone()
            if minute is not None and (first is None or minute[0] < first):
                # Minutes are alike: as many at once as it takes, up to the next detection.
                self._db.execute(
                    (
                        "DELETE FROM effort WHERE number IN (SELECT number FROM effort WHERE "
                        "number < "
                        "? ORDER BY number LIMIT ?)"
                    ),
                    (
                        minute[0] + PRUNED_AT_ONCE if first is None else first,
                        min(PRUNED_AT_ONCE, -(-excess // minute[1])),
                    ),
                )
            elif first is not None:
                self._db.execute("DELETE FROM detections WHERE number = ?", (first,))
            else:
                return


def shift(db: sqlite3.Connection, table: str, column: str, which: str, dating: Dating) -> int:
    """Move the times in the payloads of a table to `dating`; how many rows."""
    rows = db.execute(
        f"SELECT {column}, payload, offset_us FROM {table} WHERE boot_id = ? AND {which}",
        (dating.boot_id,),
    ).fetchall()
    for row_id, payload, offset_us in rows:
        text = _redated(payload, dating.offset_us - offset_us, dating)
        db.execute(
            f"UPDATE {table} SET payload = ?, offset_us = ?, synced = 1 WHERE {column} = ?",
            (text, dating.offset_us, row_id),
        )
    return len(rows)


def _moved(time_utc: str, by_us: int) -> str:
    moved = datetime.fromisoformat(time_utc.replace("Z", "+00:00")) + timedelta(microseconds=by_us)
    return rfc3339(moved.astimezone(timezone.utc))


def _redated(payload: str, by_us: int, dating: Dating) -> str:
    """A payload with its times moved and its clock vouched for."""
    content = json.loads(payload)
    content.update({key: _moved(content[key], by_us) for key in TIMES if key in content})
    content["clock"] = {
        **content["clock"],
        "synced": dating.synced,
        "uncertainty_s": dating.uncertainty_s,
    }
    return json.dumps(content, allow_nan=False, ensure_ascii=False)
