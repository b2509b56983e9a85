"""The local store: detections, embeddings, the effort ledger and the outboxes, in one SQLite file that survives a power cut.

WAL with `synchronous=FULL`: when a method returns, what it wrote is on the disk, whatever happens next. Rows are idempotent: by the
id and state of a detection, by stream and start of a minute. A file that is damaged is set aside at opening and a fresh one begun.

Threads: any thread may call any method. There is one connection behind one lock, so there is a single writer and no `database is
locked`; a call takes one transaction, a few milliseconds on a memory card. Listeners run on the writing thread, after the commit.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge.clock import rfc3339
from edge.database import open_database
from edge.effort import EffortMinute
from edge.errors import StoreError
from edge.outbox import TABLES as OUTBOX_TABLES
from edge.outbox import Dating, Kind, Outbox, OutboxRow
from edge.types import Array

__all__ = ["Dating", "OutboxRow", "Store"]

VERSION = 1
MAIN_TABLES = """
CREATE TABLE detections (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, state TEXT NOT NULL, payload TEXT NOT NULL,
    bytes INTEGER NOT NULL, start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX detections_id ON detections (id);
CREATE INDEX detections_undated ON detections (boot_id) WHERE NOT synced AND NOT sent;
CREATE TABLE embeddings (id TEXT PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE effort (
    key TEXT PRIMARY KEY, start_utc TEXT NOT NULL, start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    sample_rate_hz INTEGER NOT NULL, heard_s REAL NOT NULL, lost_s REAL NOT NULL, gated_s REAL NOT NULL, dropped_s REAL NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE history_size (bytes INTEGER NOT NULL);
INSERT INTO history_size VALUES (0);
CREATE TRIGGER detections_added AFTER INSERT ON detections BEGIN UPDATE history_size SET bytes = bytes + new.bytes; END;
CREATE TRIGGER detections_removed AFTER DELETE ON detections BEGIN
    UPDATE history_size SET bytes = bytes - old.bytes;
    DELETE FROM embeddings WHERE id = old.id AND NOT EXISTS (SELECT 1 FROM detections WHERE id = old.id);
END;
"""
TABLES = MAIN_TABLES + OUTBOX_TABLES
TIMES = ("start_utc", "end_utc", "time_utc")


class Store:
    """The store in the file `path`. `quarantined` is where a damaged one was put; raises `StoreError` when there is no writing."""

    def __init__(
        self,
        path: Path,
        *,
        outbox_bytes: int,
        history_bytes: int,
        sinks: tuple[str, ...] = ("mqtt",),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._sinks = sinks
        self._history_bytes = history_bytes
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        try:
            self._db, self.quarantined = open_database(path, tables=TABLES, version=VERSION)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        self._outbox = Outbox(self._db, bound_bytes=outbox_bytes, run=uuid.uuid4().hex)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing can be called afterwards."""
        with self._lock:
            self._db.close()

    def listen(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after each commit that put something into an outbox; it must not block."""
        with self._lock:
            self._listeners.append(callback)

    # What the pipeline writes

    def record(self, payload: Mapping[str, Any], *, dating: Dating, embedding: Array | None = None) -> bool:
        """Keep a detection and queue it for every sink; whether it was new.

        The same id and state again is nothing new, but for a later `update`, which takes the place of the one before.
        """
        key, text = f"{payload['id']}/{payload['state']}", _json(payload)
        with self._transaction():
            known = self._db.execute("SELECT end_sample FROM detections WHERE key = ?", (key,)).fetchone()
            if known is not None:
                if payload["state"] != "update" or payload["end_sample"] <= known[0]:
                    return False
                self._db.execute("DELETE FROM detections WHERE key = ?", (key,))
            blob = np.ascontiguousarray(embedding, "<f4").tobytes() if embedding is not None else b""
            row = (key, payload["id"], payload["state"], text, len(text.encode()) + len(blob))
            samples = (payload["start_sample"], payload["end_sample"])
            self._db.execute(
                "INSERT INTO detections (key, id, state, payload, bytes, start_sample, end_sample, boot_id, offset_us, synced)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, *samples, dating.boot_id, dating.offset_us, dating.synced),
            )
            if blob:
                self._db.execute("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", (payload["id"], blob))
            self._prune()
            self._queue("detection", key, text, dating)
        self._tell()
        return True

    def record_effort(self, minute: EffortMinute, payload: Mapping[str, Any], *, stream: str, dating: Dating) -> bool:
        """Enter a minute of the stream into the ledger and queue it; whether it was new."""
        key = f"{stream}/{minute.start_sample}"
        seconds = [minute.seconds("heard"), minute.seconds("lost"), minute.seconds("gated"), minute.seconds("dropped")]
        with self._transaction():
            row = (key, payload["start_utc"], minute.start_sample, minute.end_sample, minute.sample_rate_hz, *seconds)
            dated = (dating.boot_id, dating.offset_us, dating.synced)
            added = self._db.execute("INSERT OR IGNORE INTO effort VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", (*row, *dated))
            if added.rowcount == 0:
                return False
            self._queue("effort", key, _json(payload), dating)
        self._tell()
        return True

    def record_health(self, payload: Mapping[str, Any], *, dating: Dating) -> None:
        """Queue the state of the microphone; an unsent older one stays, so that the course of it arrives."""
        with self._transaction():
            self._queue("health", uuid.uuid4().hex, _json(payload), dating)
        self._tell()

    def redate(self, dating: Dating) -> int:
        """Correct what this start of the machine recorded before its clock was set and has not sent yet; how many rows to send.

        Each row was dated by an offset of its own, kept with it, so a restart of the program in between does no harm.
        """
        with self._transaction():
            shifted = self._shift("outbox", "seq", "NOT synced", dating)
            self._shift("detections", "number", "NOT synced AND NOT sent", dating)
            rows = self._db.execute(
                "SELECT key, start_utc, offset_us FROM effort WHERE boot_id = ? AND NOT synced AND NOT sent", (dating.boot_id,)
            ).fetchall()
            for key, start_utc, offset_us in rows:
                start = _moved(start_utc, dating.offset_us - offset_us)
                self._db.execute(
                    "UPDATE effort SET start_utc = ?, offset_us = ?, synced = 1 WHERE key = ?", (start, dating.offset_us, key)
                )
        self._tell()
        return shifted

    # What sinks read

    def pending(self, sink: str, *, limit: int, skip: Set[int] = frozenset(), unsynced: bool = True) -> list[OutboxRow]:
        """Up to `limit` rows to send, oldest first, but for those in `skip` and, unless `unsynced`, those of an unset clock."""
        with self._transaction():
            return self._outbox.pending(sink, limit=limit, skip=skip, unsynced=unsynced)

    def done(self, sink: str, seqs: Iterable[int]) -> None:
        """The far end of `sink` has acknowledged these rows."""
        with self._transaction():
            self._outbox.done(sink, seqs)

    def depth(self, sink: str) -> tuple[int, int]:
        """Rows and bytes in the outbox."""
        with self._transaction():
            return self._outbox.depth(sink)

    def dropped(self, sink: str) -> dict[str, int]:
        """Rows that the outbox's bound has cost, by kind."""
        with self._transaction():
            return self._outbox.dropped(sink)

    def detections(self) -> Iterator[dict[str, Any]]:
        """Payloads of all detections kept, oldest first."""
        with self._transaction():
            rows = self._db.execute("SELECT payload FROM detections ORDER BY number").fetchall()
        return (json.loads(payload) for (payload,) in rows)

    def embedding(self, id: str) -> Array | None:
        """Embedding (D,) float32 of the peak window of an event."""
        with self._transaction():
            row = self._db.execute("SELECT vector FROM embeddings WHERE id = ?", (id,)).fetchone()
        return np.frombuffer(row[0], "<f4").astype(np.float32) if row else None

    # Inside

    def _queue(self, kind: Kind, key: str, text: str, dating: Dating) -> None:
        for sink in self._sinks:
            self._outbox.add(sink, kind, key, text, dating=dating, stored_us=round(self._monotonic() * 1e6))

    def _prune(self) -> None:
        """Forget the oldest detections above the bound; an outbox has its own copy of what it still has to send."""
        while self._db.execute("SELECT bytes FROM history_size").fetchone()[0] > self._history_bytes:
            self._db.execute("DELETE FROM detections WHERE number = (SELECT min(number) FROM detections)")

    def _shift(self, table: str, column: str, which: str, dating: Dating) -> int:
        """Move the times in the payloads of a table to `dating`; how many rows."""
        rows = self._db.execute(
            f"SELECT {column}, payload, offset_us FROM {table} WHERE boot_id = ? AND {which}", (dating.boot_id,)
        ).fetchall()
        for row_id, payload, offset_us in rows:
            text = _redated(payload, dating.offset_us - offset_us, dating)
            self._db.execute(
                f"UPDATE {table} SET payload = ?, offset_us = ?, synced = 1 WHERE {column} = ?", (text, dating.offset_us, row_id)
            )
        return len(rows)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error as exc:
                raise StoreError(f"{self.path}: {exc}") from exc
            finally:
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell; a closed file has nothing to undo
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")


def _json(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, allow_nan=False, ensure_ascii=False)


def _moved(time_utc: str, by_us: int) -> str:
    moved = datetime.fromisoformat(time_utc.replace("Z", "+00:00")) + timedelta(microseconds=by_us)
    return rfc3339(moved.astimezone(timezone.utc))


def _redated(payload: str, by_us: int, dating: Dating) -> str:
    """A payload with its times moved and its clock vouched for."""
    content = json.loads(payload)
    content.update({key: _moved(content[key], by_us) for key in TIMES if key in content})
    content["clock"] = {**content["clock"], "synced": dating.synced, "uncertainty_s": dating.uncertainty_s}
    return _json(content)
