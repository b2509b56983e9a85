"""Where a recorder keeps its rows: in the configured file, or in memory while that cannot be used.

A disk that is read-only, full or damaged must not make the recorder deaf. In memory it goes on
hearing, counting and sending, within a bound; what is there moves to the disk once the disk takes
it. A restart before that loses what is not sent.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.config.config import Config
from edge.errors import StoreError, UserError
from edge.recorder.backlog import Backlog
from edge.recorder.hole import unentered
from edge.store.database import set_aside
from edge.store.interrupted import end_interrupted
from edge.store.moving import move_rows
from edge.store.store import Store
from edge.threads import Died, WatchedThread

__all__ = ["StorePlace", "has_folder", "sinks_of"]

MEMORY = Path(":memory:")  # SQLite's own name
MEMORY_BYTES = 12_000_000  # of the outbox, and of the history beside it
BUSY = ("database is locked", "database table is locked")
SPARE_BYTES = 4_000_000  # on the disk beside what is moved there
IN_MEMORY = "going on in memory, where a restart loses what is not sent"
log = logging.getLogger(__name__)


class StorePlace:
    """The store in use, and whether it is in memory. The main thread's, but for `move_to`.

    `died` is told of a fault of ours in the thread that tries the file again.

    Events that an earlier recorder has left open are ended. Raises `UserError` where there is no
    folder for the file.
    """

    def __init__(
        self,
        config: Config,
        backlog: Backlog,
        *,
        died: Died,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        path = config.store.path
        if not has_folder(path):
            reason = f"the folder of {path} does not exist"
            raise UserError(reason, key="store.path", suggestion="make it")
        self._backlog = backlog
        self._backoff = backlog.file_backoff
        self._monotonic_s = monotonic_s
        self._died = died
        self._retry_s = 0.0
        self._opening: WatchedThread | None = None
        self._opened: Store | None = None
        self._earlier_quarantines = 0
        try:
            self.store = self._begun(config)
        except StoreError as exc:
            log.error("%s; %s", exc, IN_MEMORY)
            self.store = _memory_store(config)
            self._retry_s = monotonic_s() + self._backoff.next_s()

    @property
    def in_memory(self) -> bool:
        """Whether the rows are kept in memory."""
        return self.store.path == MEMORY

    @property
    def quarantines(self) -> int:
        """How many damaged files were set aside since the start."""
        return self._earlier_quarantines + self.store.quarantines

    def close(self) -> None:
        """Close the store."""
        for store in (self.store, self._opened):
            if store is not None:
                _closed(store)

    def better_store(self, config: Config) -> Store | None:
        """Return the store to move to, None where the present one is the best."""
        if self.in_memory:
            return self._file_again(config)
        if not self._backlog.overdue:
            return None
        log.error("store %s: takes nothing any more; %s", self.store.path, IN_MEMORY)
        self._backoff.reset()
        self._retry_s = self._monotonic_s() + self._backoff.next_s()
        return _memory_store(config)

    def move_to(self, new: Store, *, device: str) -> None:
        """Use `new`, with the rows that are in memory; stay where it does not take them.

        On the pipeline's thread, between two streams, while no delivery runs.
        """
        old = self.store
        if self.in_memory:
            try:
                hole = unentered(new, old, device=device)
                count = move_rows(old, new)
            except StoreError as exc:
                log.warning("%s; %s", exc, IN_MEMORY)
                self._let_go(new)
                return
            log.info("store %s: is in use again; %d rows have moved there", new.path, count)
            with contextlib.suppress(StoreError):  # the next start does it
                _end_interrupted(new)
            self._backlog.minutes.extendleft(reversed(hole))
        self.store = new
        self._let_go(old)

    def _file_again(self, config: Config) -> Store | None:
        """Return the store in its file once that can be used, and takes what is in memory."""
        if self._opening is not None and self._opening.alive:
            return None
        if self._opened is not None:
            opened, self._opened = self._opened, None
            return opened
        if self._monotonic_s() < self._retry_s:
            return None
        self._retry_s = self._monotonic_s() + self._backoff.next_s()
        held = self.store.history_size()[0] + sum(
            self.store.depth(sink)[1] for sink in self.store.sinks
        )
        # To look through a large file takes a minute on a memory card: nobody is to wait for that.
        work = partial(self._open_file, config, 2 * held + SPARE_BYTES)
        self._opening = WatchedThread(work, name="store", died=self._died)
        self._opening.expect_end()
        self._opening.start()
        return None

    def _open_file(self, config: Config, free_bytes: int) -> None:
        # What fails is as it was, and told when it began.
        with contextlib.suppress(OSError, StoreError):
            if shutil.disk_usage(config.store.path.parent).free >= free_bytes:
                self._opened = self._file_store(config)

    def _begun(self, config: Config) -> Store:
        """Open the store in its file, and end what an earlier recorder has left open in it."""
        store = self._file_store(config)
        try:
            _end_interrupted(store)
        except StoreError:
            _closed(store)
            raise
        return store

    def _file_store(self, config: Config) -> Store:
        """Open the store in its file, and see that it can be written.

        A fresh one, where it is the file that is at fault and not the disk. Raises `StoreError`.
        """
        chosen = config.store
        opened = partial(
            Store,
            chosen.path,
            sinks=sinks_of(config),
            outbox_bytes=chosen.outbox_bytes,
            history_bytes=chosen.history_bytes,
            ballast_bytes=chosen.ballast_bytes,
        )
        store = None
        try:
            store = opened()
            store.change(lambda db, history: db.execute("UPDATE history SET bytes = bytes"))
            return store
        except StoreError as exc:
            if store is not None:
                store.close()
            if not (_is_no_answer(exc) and chosen.path.is_file() and _disk_is_sound(chosen.path)):
                raise
            set_aside(chosen.path, exc)
        self._earlier_quarantines += 1
        return opened()

    def _let_go(self, store: Store) -> None:
        self._earlier_quarantines += store.quarantines
        _closed(store)


def has_folder(path: Path) -> bool:
    """Return whether there is a folder for the file `path`."""
    try:
        return path.parent.is_dir()
    except OSError:  # a name too long for the file system
        return False


def sinks_of(config: Config) -> tuple[str, ...]:
    """Return the deliveries that have an outbox."""
    return ("mqtt",) if config.mqtt.enabled else ()


def _end_interrupted(store: Store) -> None:
    count = end_interrupted(store)
    if count:
        log.warning("%d events of a recorder that was killed had no end; they have one now", count)


def _memory_store(config: Config) -> Store:
    """Return an empty store in memory."""
    chosen = config.store
    return Store(
        MEMORY,
        sinks=sinks_of(config),
        outbox_bytes=min(chosen.outbox_bytes, MEMORY_BYTES),
        history_bytes=min(chosen.history_bytes, MEMORY_BYTES),
    )


def _closed(store: Store) -> None:
    with contextlib.suppress(sqlite3.Error):  # of a disk that is gone
        store.close()


def _is_no_answer(exc: StoreError) -> bool:
    """Return whether SQLite could not use the file, and not because another program does."""
    cause = exc.__cause__
    return isinstance(cause, sqlite3.OperationalError) and str(cause) not in BUSY


def _disk_is_sound(path: Path) -> bool:
    """Return whether another database can be made and written in the same folder."""
    probe = path.with_name(f".{path.name}-probe")
    try:
        with contextlib.closing(sqlite3.connect(probe)) as db:
            db.execute("CREATE TABLE IF NOT EXISTS probe (x)")
            db.execute("INSERT INTO probe VALUES (zeroblob(65536))")
            db.commit()
        return True
    except (OSError, sqlite3.Error):
        return False
    finally:
        for suffix in ("", "-journal"):
            with contextlib.suppress(OSError):
                probe.with_name(probe.name + suffix).unlink(missing_ok=True)
