"""The local store: detections, embeddings, effort and outboxes, in one file of SQLite.

WAL with `synchronous=FULL`: when a method returns, what it wrote is on the disk, whatever happens
next. Rows are idempotent: by the id and state of a detection, by stream and start of a minute. A
file that is damaged is set aside at opening and a new one begun; one that a newer program made is
left alone and refused. When the disk is full, the ballast beside the file makes room.

Threads: any thread may call any method. There is one connection behind one lock, so there is a
single writer and no `database is locked`; a call takes one transaction, a few milliseconds on a
memory card. Listeners run on the writing thread, after the commit.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

from edge.store.connection import SharedConnection
from edge.store.dating import Dating, shift_times
from edge.store.effort import EffortMinute
from edge.store.history import TABLES as HISTORY_TABLES
from edge.store.history import History
from edge.store.ledger import forget_open
from edge.store.outbox import TABLES as OUTBOX_TABLES
from edge.store.outbox import Kind, Outbox, OutboxRow
from edge.types import Array

__all__ = ["Dating", "OutboxRow", "Store"]

VERSION = 2
TABLES = HISTORY_TABLES + OUTBOX_TABLES
T = TypeVar("T")


class Store:
    """The store in the file `path`.

    `quarantined` is where a damaged file was put, None when the file was sound. `ballast_bytes` of
    the disk are kept for the store, `outbox_bytes` bound what each sink has still to send, and
    `history_bytes` bound detections and ledger, sent or not. Every method raises `StoreError` when
    the file cannot be written.
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
        self.sinks = sinks
        self._monotonic = monotonic
        self._listening = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._shared = SharedConnection(
            path, tables=TABLES, version=VERSION, ballast_bytes=ballast_bytes
        )
        self.quarantined = self._shared.quarantined
        self._db = self._shared.db
        self._outbox = Outbox(self._db, bound_bytes=outbox_bytes, run=uuid.uuid4().hex)
        self._history = History(self._db, bound_bytes=history_bytes)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no method works afterwards."""
        self._shared.close()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after each commit that put something into an outbox.

        It must not block. Calling the result ends it.
        """
        with self._listening:
            self._listeners.append(callback)

        def end() -> None:
            with self._listening:
                self._listeners.remove(callback)

        return end

    # What the pipeline writes

    def record(
        self, payload: Mapping[str, Any], *, dating: Dating, embedding: Array | None = None
    ) -> bool:
        """Keep a detection and queue it for every sink; return whether it was new.

        The same id and state again is not new, except for a later `update`, which takes the place
        of the one before.
        """
        key = f"{payload['id']}/{payload['state']}"
        text = _json(payload)

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
        """Enter a minute of `stream` into the ledger and queue it; return whether it was new.

        It takes the place of the note of `edge.store.ledger`.
        """
        key = f"{stream}/{minute.start_sample}"
        text = _json(payload)

        def write() -> bool:
            forget_open(self._db, stream)
            added = self._history.add_minute(
                key, minute, start_utc=payload["start_utc"], dating=dating
            )
            if added:
                self._queue("effort", key, text, dating)
            return added

        return self._notify_listeners(self._write(write))

    def record_health(self, payload: Mapping[str, Any], *, dating: Dating) -> None:
        """Queue the state of the microphone; older ones stay, so that its course is sent, too."""
        self._write(lambda: self._queue("health", uuid.uuid4().hex, _json(payload), dating))
        self._notify_listeners(True)

    def redate(self, dating: Dating) -> int:
        """Correct what was recorded before the clock was set; return how many unsent rows changed.

        Only rows of this start of the machine that are not sent yet are corrected. Each was dated
        by an offset of its own, kept with it, so a restart of the program in between does no harm.
        """

        def write() -> int:
            self._history.redate(dating)
            return shift_times(self._db, "outbox", "seq", "NOT synced", dating)

        shifted = self._write(write)
        self._notify_listeners(True)
        return shifted

    def change(self, work: Callable[[Any, History], T]) -> T:
        """Do `work`, which is given the database and the history in it, in one transaction."""
        return self._write(lambda: work(self._db, self._history))

    def send_to(self, sinks: tuple[str, ...]) -> None:
        """Queue what is recorded from now on for these sinks."""
        self.sinks = sinks

    # What sinks read

    def pending(
        self, sink: str, *, limit: int, skip: Set[int] = frozenset(), unsynced: bool = True
    ) -> list[OutboxRow]:
        """Return up to `limit` rows to send, oldest first.

        Rows in `skip` are left out and, unless `unsynced`, those dated by a clock that was not set.
        """
        with self._shared.transaction():
            return self._outbox.pending(sink, limit=limit, skip=skip, unsynced=unsynced)

    def done(self, sink: str, seqs: Iterable[int]) -> None:
        """Remove rows that the far end of `sink` has acknowledged."""
        acknowledged = tuple(seqs)
        self._write(lambda: self._outbox.done(sink, acknowledged))

    def depth(self, sink: str) -> tuple[int, int]:
        """Return rows and bytes in the outbox of `sink`."""
        with self._shared.transaction():
            return self._outbox.depth(sink)

    def dropped(self, sink: str) -> dict[str, int]:
        """Return how many rows the bound of the outbox has cost, by kind."""
        with self._shared.transaction():
            return self._outbox.dropped(sink)

    def history_size(self) -> tuple[int, int]:
        """Return about how many bytes the history takes, and how many it may still grow by.

        At 0 its oldest rows go.
        """
        with self._shared.transaction():
            size_bytes = self._history.size_bytes
            return size_bytes, max(0, self._history.bound_bytes - size_bytes)

    def detections(self) -> Iterator[dict[str, Any]]:
        """Return the payloads of all detections kept, oldest first."""
        with self._shared.transaction():
            return self._history.detections()

    def embedding(self, id: str) -> Array | None:
        """Return the embedding (D,) float32 of an event's peak window, None when there is none."""
        with self._shared.transaction():
            return self._history.embedding(id)

    # Inside

    def _queue(self, kind: Kind, key: str, text: str, dating: Dating) -> None:
        for sink in self.sinks:
            self._outbox.add(
                sink, kind, key, text, dating=dating, stored_us=round(self._monotonic() * 1e6)
            )

    def _notify_listeners(self, added: bool) -> bool:
        if added:
            for listener in list(self._listeners):
                listener()
        return added

    def _write(self, work: Callable[[], T]) -> T:
        return self._shared.write(work, history=self._history)


def _json(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, allow_nan=False, ensure_ascii=False)
