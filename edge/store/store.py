"""The local store: detections, embeddings, the effort ledger and the outboxes, in one SQLite file
that survives a power cut.

WAL with `synchronous=FULL`: when a method returns, what it wrote is on the disk, whatever happens
next. Rows are idempotent: by the id and state of a detection, by stream and start of a minute. A
file that is damaged is set aside at opening and a fresh one begun; one that a newer program made is
left alone and refused. When the disk is full, the ballast beside the file makes room.

Threads: any thread may call any method. There is one connection behind one lock, so there is a
single writer and no `database is locked`; a call takes one transaction, a few milliseconds on a
memory card. Listeners run on the writing thread, after the commit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import StoreError
from edge.store.ballast import Ballast
from edge.store.database import disk_is_full, open_database
from edge.store.effort import EffortMinute
from edge.store.history import TABLES as HISTORY_TABLES
from edge.store.history import History, shift
from edge.store.outbox import TABLES as OUTBOX_TABLES
from edge.store.outbox import Dating, Kind, Outbox, OutboxRow
from edge.types import Array

__all__ = ["Dating", "OutboxRow", "Store"]

log = logging.getLogger(__name__)

VERSION = 2
TABLES = HISTORY_TABLES + OUTBOX_TABLES
T = TypeVar("T")


class Store:
    """The store in the file `path`. `quarantined` is where a damaged one was put; raises
    `StoreError` when there is no writing.

    `ballast_bytes` of the disk are kept for it, and `history_bytes` bound what was sent, with the
    ledger.
    """

    def __init__(
        self,
        path: Path,
        *,
        outbox_bytes: int,
        history_bytes: int,
        sinks: tuple[str, ...] = ("mqtt",),
        ballast_bytes: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._sinks = sinks
        self._history_bytes = history_bytes
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ballast = Ballast(
                path.with_name(f"{path.name}-ballast"), size_bytes=ballast_bytes
            )
            self._db, self.quarantined = self._open()
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        self._outbox = Outbox(self._db, bound_bytes=outbox_bytes, run=uuid.uuid4().hex)
        self._history = History(self._db, bound_bytes=history_bytes)
        if not self._ballast.refill():
            log.warning(
                "store %s: there is no room for its ballast; clear the disk, or ask for less", path
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing can be called afterwards."""
        with self._lock:
            self._db.close()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after each commit that put something into an outbox; it must not
        block. The result ends it.
        """
        with self._lock:
            self._listeners.append(callback)

        def end() -> None:
            with self._lock:
                self._listeners.remove(callback)

        return end

    # What the pipeline writes

    def record(
        self, payload: Mapping[str, Any], *, dating: Dating, embedding: Array | None = None
    ) -> bool:
        """Keep a detection and queue it for every sink; whether it was new.

        The same id and state again is nothing new, but for a later `update`, which takes the place
        of the one before.
        """
        key, text = f"{payload['id']}/{payload['state']}", _json(payload)

        def write() -> bool:
            added = self._history.add_detection(
                key, payload, text, dating=dating, embedding=embedding
            )
            if added:
                self._queue("detection", key, text, dating)
            return added

        return self._notify_listeners(self._write(write))

    def record_effort(
        self, minute: EffortMinute, payload: Mapping[str, Any], *, stream: str, dating: Dating
    ) -> bool:
        """Enter a minute of the stream into the ledger and queue it; whether it was new."""
        key, text = f"{stream}/{minute.start_sample}", _json(payload)

        def write() -> bool:
            added = self._history.add_minute(
                key, minute, start_utc=payload["start_utc"], dating=dating
            )
            if added:
                self._queue("effort", key, text, dating)
            return added

        return self._notify_listeners(self._write(write))

    def record_health(self, payload: Mapping[str, Any], *, dating: Dating) -> None:
        """Queue the state of the microphone; an unsent older one stays, so that the course of it
        arrives.
        """
        self._write(lambda: self._queue("health", uuid.uuid4().hex, _json(payload), dating))
        self._notify_listeners(True)

    def redate(self, dating: Dating) -> int:
        """Correct what this start of the machine recorded before its clock was set and has not sent
        yet; how many rows to send.

        Each row was dated by an offset of its own, kept with it, so a restart of the program in
        between does no harm.
        """

        def write() -> int:
            self._history.redate(dating)
            return shift(self._db, "outbox", "seq", "NOT synced", dating)

        shifted = self._write(write)
        self._notify_listeners(True)
        return shifted

    # What sinks read

    def pending(
        self, sink: str, *, limit: int, skip: Set[int] = frozenset(), unsynced: bool = True
    ) -> list[OutboxRow]:
        """Up to `limit` rows to send, oldest first, but for those in `skip` and, unless `unsynced`,
        those of an unset clock.
        """
        with self._transaction():
            return self._outbox.pending(sink, limit=limit, skip=skip, unsynced=unsynced)

    def done(self, sink: str, seqs: Iterable[int]) -> None:
        """The far end of `sink` has acknowledged these rows."""
        acknowledged = tuple(seqs)
        self._write(lambda: self._outbox.done(sink, acknowledged))

    def depth(self, sink: str) -> tuple[int, int]:
        """Rows and bytes in the outbox."""
        with self._transaction():
            return self._outbox.depth(sink)

    def dropped(self, sink: str) -> dict[str, int]:
        """Rows that the outbox's bound has cost, by kind."""
        with self._transaction():
            return self._outbox.dropped(sink)

    def history_size(self) -> tuple[int, int]:
        """Bytes that the history takes, about, and by how many it may still grow before its oldest
        rows go.
        """
        with self._transaction():
            size_bytes = self._history.size_bytes
            return size_bytes, max(0, self._history.bound_bytes - size_bytes)

    def detections(self) -> Iterator[dict[str, Any]]:
        """Payloads of all detections kept, oldest first."""
        with self._transaction():
            return self._history.detections()

    def embedding(self, id: str) -> Array | None:
        """Embedding (D,) float32 of the peak window of an event."""
        with self._transaction():
            return self._history.embedding(id)

    # Inside

    def _open(self) -> tuple[sqlite3.Connection, Path | None]:
        while True:
            try:
                return open_database(self.path, tables=TABLES, version=VERSION)
            except sqlite3.OperationalError as exc:
                if not (disk_is_full(exc, self.path) and self._give_way()):
                    raise

    def _queue(self, kind: Kind, key: str, text: str, dating: Dating) -> None:
        for sink in self._sinks:
            self._outbox.add(
                sink, kind, key, text, dating=dating, stored_us=round(self._monotonic() * 1e6)
            )

    def _notify_listeners(self, added: bool) -> bool:
        if added:
            for listener in list(self._listeners):
                listener()
        return added

    def _write(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction, on a full disk again and again while there is ballast to
        give up for it.
        """
        with self._lock:
            if not self._ballast.whole and self._ballast.refill():
                self._history.bound_bytes = self._history_bytes
                log.info("store %s: its ballast is whole again", self.path)
            while True:
                try:
                    with self._transaction():
                        return work()
                except StoreError as exc:
                    if not (disk_is_full(exc.__cause__, self.path) and self._give_way()):
                        raise
                    self._tighten()

    def _give_way(self) -> bool:
        was_whole = self._ballast.whole
        if not self._ballast.release():
            return False
        left = self._ballast.held_bytes
        if was_whole or not left:
            log.warning(
                "store %s: the disk is full; %.1f MB of the ballast are left", self.path, left / 1e6
            )
        return True

    def _tighten(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._ballast.half_spent:
                # From now on the history gives up as much as it gets: the file need not grow while
                # the disk is full.
                self._history.bound_bytes = min(self._history.bound_bytes, self._history.size_bytes)
            # The log's pages into the file, so that its room, which it keeps, is used again.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

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
                # the first error is the one to tell; a closed file has nothing to undo
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")


def _json(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, allow_nan=False, ensure_ascii=False)
