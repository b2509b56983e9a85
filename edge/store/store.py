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

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import StoreError
from edge.store.connection import SharedConnection
from edge.store.dating import Dating
from edge.store.effort import EffortMinute
from edge.store.entries import Entries
from edge.store.history import History
from edge.store.layout import LAYOUT
from edge.store.listeners import Listeners
from edge.store.outbox import AsideReason, Outbox, OutboxRow, tell_aside
from edge.types import Array

__all__ = ["Dating", "OutboxRow", "Store"]

T = TypeVar("T")


class Store(contextlib.AbstractContextManager["Store"]):
    """The store in the file `path`.

    `ballast_bytes` of the disk are kept for the store, `outbox_bytes` bound what each of `sinks`
    has still to send, and `history_bytes` bound detections and ledger, sent or not. Every method
    raises `StoreError` when the file cannot be written.
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
        self._listeners = Listeners()
        self._redated = 0
        self._shared = self._db = SharedConnection(path, LAYOUT, ballast_bytes=ballast_bytes)
        self._outbox = Outbox(self._db, bound_bytes=outbox_bytes, run=uuid.uuid4().hex)
        self._history = History(self._db, bound_bytes=history_bytes)
        self._entries = Entries(self._db, self._history, self._outbox, monotonic=monotonic)
        with contextlib.suppress(StoreError):  # a full disk; the next start does it
            orphans = self._write(lambda: self._outbox.adopt(sinks))
            tell_aside(path, orphans, "their sink is unknown")

    @property
    def quarantined(self) -> Path | None:
        """Where the last damaged file was put, None where there was none."""
        return self._shared.quarantined

    @property
    def generation(self) -> int:
        """Grows when rows change behind a reader: they were dated anew, or the file is another."""
        return self._redated + self._shared.quarantines

    @property
    def quarantines(self) -> int:
        """How many damaged files were set aside, at opening and since."""
        return self._shared.quarantines

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no method works afterwards."""
        self._shared.close()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after each commit that put something into an outbox.

        It must not block. Calling the result ends it.
        """
        return self._listeners.add(callback)

    def record(
        self,
        payload: Mapping[str, Any],
        *,
        dating: Dating,
        embedding: Array | None = None,
        network: str = "",
    ) -> bool:
        """Keep a detection and queue it for every sink; return whether it was new.

        The same id and state again is not new, except for a later `update`, which takes the place
        of the one before. `network` is the digest of that which the embedding is of.
        """

        def write() -> bool:
            return self._entries.detection(
                payload,
                sinks=self.sinks,
                dating=dating,
                embedding=embedding,
                network=network,
            )

        return self._listeners.notify(self._write(write))

    def record_effort(
        self, minute: EffortMinute, payload: Mapping[str, Any], *, stream: str, dating: Dating
    ) -> bool:
        """Enter a minute of `stream` in place of its note, queue it; return whether it was new."""

        def write() -> bool:
            return self._entries.minute(
                minute, payload, sinks=self.sinks, stream=stream, dating=dating
            )

        return self._listeners.notify(self._write(write))

    def record_health(self, payload: Mapping[str, Any], *, dating: Dating) -> None:
        """Keep and queue the state of the microphone; older ones stay, for its course."""

        def write() -> bool:
            return self._entries.level(payload, sinks=self.sinks, dating=dating)

        self._listeners.notify(self._write(write))

    def redate(self, dating: Dating) -> int:
        """Correct what was recorded before the clock was set; return how many unsent rows changed.

        Only rows of this start of the machine that are not sent yet are corrected. Each was dated
        by an offset of its own, kept with it, so a restart of the program in between does no harm.
        """

        def write() -> tuple[int, int]:
            self._history.redate(dating)
            return self._outbox.redate(self.sinks, dating)

        shifted, damaged = self._write(write)
        self._redated += 1
        tell_aside(self.path, damaged, "they cannot be dated")
        self._listeners.notify(True)
        return shifted

    def change(self, work: Callable[[Any, History], T]) -> T:
        """Do `work`, which is given the database and the history in it, in one transaction."""
        return self._write(lambda: work(self._db, self._history))

    def pending(
        self,
        sink: str,
        *,
        limit: int,
        skip: Set[int] = frozenset(),
        unsynced: bool = True,
        after: int = -1,
    ) -> list[OutboxRow]:
        """Return up to `limit` rows to send with numbers above `after`, oldest first.

        Rows in `skip` are left out and, unless `unsynced`, those dated by a clock that was not set.
        Those that cannot be read are set aside.
        """

        def read() -> tuple[list[OutboxRow], int]:
            return self._outbox.pending(
                sink, limit=limit, skip=skip, unsynced=unsynced, after=after
            )

        rows, aside = self._write(read)
        tell_aside(self.path, aside, "they cannot be read")
        return rows

    def done(self, sink: str, rows: Iterable[OutboxRow]) -> int:
        """Remove rows that the far end of `sink` has acknowledged.

        Returns how many stay because they were dated anew since they were read: they are to be sent
        again.
        """
        acknowledged = tuple(rows)
        return self._write(lambda: self._outbox.done(sink, acknowledged))

    def set_aside(self, sink: str, row: OutboxRow, reason: AsideReason) -> None:
        """Keep a row of `sink` where nobody sends it, and count it."""
        self._write(lambda: self._outbox.set_aside(sink, [row.seq], reason))

    def take_back(self, sink: str, *, largest_bytes: int) -> int:
        """Queue again what was set aside as too large, up to payloads of `largest_bytes`.

        Returns how many rows that were.
        """
        return self._write(lambda: self._outbox.take_back(sink, largest_bytes=largest_bytes))

    def depth(self, sink: str) -> tuple[int, int]:
        """Return rows and bytes in the outbox of `sink`, without what is set aside."""
        return self._shared.read(lambda: self._outbox.depth(sink))

    def dropped(self, sink: str) -> dict[str, int]:
        """Return how many rows the bound of the outbox has cost, by kind."""
        return self._shared.read(lambda: self._outbox.dropped(sink))

    def aside(self, sink: str) -> dict[AsideReason, int]:
        """Return how many rows of `sink` were set aside, by reason."""
        return self._shared.read(lambda: self._outbox.aside(sink))

    def history_size(self) -> tuple[int, int]:
        """Return about how many bytes the history takes, and how many it may still grow by.

        At 0 its oldest rows go.
        """
        size_bytes = self._shared.read(lambda: self._history.size_bytes)
        return size_bytes, max(0, self._history.bound_bytes - size_bytes)

    def detections(self) -> Iterator[dict[str, Any]]:
        """Return the payloads of all detections kept, oldest first."""
        return self._shared.read(self._history.detections)

    def begun(
        self, number: int, *, newest_first: bool, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """See `History.begun`."""

        def read() -> list[tuple[int, dict[str, Any]]]:
            return self._history.begun(number, newest_first=newest_first, limit=limit)

        return self._shared.read(read)

    def _write(self, work: Callable[[], T]) -> T:
        return self._shared.write(work, history=self._history)
