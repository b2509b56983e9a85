"""The store's one connection: transactions for all threads, which make room on a full disk.

Damage that shows while the store is in use is mended: what does not agree with its rows is made
anew from them, and a file for which that is not enough is set aside for a fresh one.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from edge.errors import StoreError
from edge.store.ballast import Ballast
from edge.store.database import (
    Layout,
    disk_is_full,
    is_damage,
    open_database,
    set_aside,
    transaction,
)
from edge.store.history import History

__all__ = ["SharedConnection"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# From the least that can help to the most that can be made of the rows.
MENDS = ("REINDEX outbox", "REINDEX")
REPLACE = "a fresh file"


class SharedConnection:
    """The connection to the file `path`, behind one lock, with ballast for a full disk.

    Any thread may call any method. `quarantined` is where the last damaged file was put, and
    `quarantines` how many there were. Raises `StoreError` where the file cannot be opened or
    written.
    """

    def __init__(self, path: Path, layout: Layout, *, ballast_bytes: int) -> None:
        self._path = path
        self._layout = layout
        self._lock = threading.RLock()
        ballast = path.with_name(f"{path.name}-ballast")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ballast = Ballast(ballast, size_bytes=ballast_bytes)
            self._db, self.quarantined = self._open()
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        self.quarantines = int(self.quarantined is not None)
        if not self._ballast.refill():
            log.warning(
                "store %s: there is no room for its ballast; clear the disk, or ask for less", path
            )

    def close(self) -> None:
        """Close the file; no method works afterwards."""
        with self._lock:
            self._db.close()

    def execute(
        self, sql: str, parameters: tuple[object, ...] | Mapping[str, object] = ()
    ) -> sqlite3.Cursor:
        """Run a statement in the present transaction; raises `sqlite3.Error`."""
        return self._db.execute(sql, parameters)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block one transaction, undone when it fails; raises `StoreError`."""
        with self._lock:
            try:
                with transaction(self._db):
                    yield
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                raise StoreError(f"{self._path}: {exc}") from exc

    def write(self, work: Callable[[], T], *, history: History) -> T:
        """Do `work` in one transaction, again and again while a full disk takes ballast for it.

        When half of the ballast is spent, `history` stops growing until the ballast is whole again.
        """
        with self._lock:
            if not self._ballast.whole and self._ballast.refill():
                history.resume_growing()
                log.info("store %s: its ballast is whole again", self._path)
            while True:
                try:
                    return self.read(work)
                except StoreError as exc:
                    if not (disk_is_full(exc.__cause__, self._path) and self._give_way()):
                        raise
                    self._tighten(history)

    def read(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction, again after each mend that damage to the file takes."""
        mends = [*MENDS, REPLACE]
        with self._lock:
            while True:
                try:
                    with self.transaction():
                        return work()
                except StoreError as exc:
                    if not (is_damage(exc.__cause__) and mends):
                        raise
                    self._mend(mends.pop(0), exc)

    def _mend(self, mend: str, exc: StoreError) -> None:
        if mend == REPLACE:
            if not isinstance(exc.__cause__, sqlite3.IntegrityError):  # that could be a bug of ours
                self._replace(exc)
            return
        log.error("store is damaged (%s): making its indexes anew (%s)", exc, mend)
        with contextlib.suppress(sqlite3.Error):  # then the next one is tried
            self._db.execute(mend)

    def _replace(self, exc: StoreError) -> None:
        """Set the file aside and begin a fresh one."""
        self._db.close()
        try:
            self.quarantined = set_aside(self._path, exc)
            self.quarantines += 1
            self._db, _ = self._open()
        except (OSError, sqlite3.Error) as failed:
            raise StoreError(f"{self._path}: {failed}") from failed

    def _open(self) -> tuple[sqlite3.Connection, Path | None]:
        while True:
            try:
                return open_database(self._path, self._layout)
            except sqlite3.OperationalError as exc:
                if not (disk_is_full(exc, self._path) and self._give_way()):
                    raise

    def _give_way(self) -> bool:
        """Release a part of the ballast; return whether there was one."""
        was_whole = self._ballast.whole
        if not self._ballast.release():
            return False
        left = self._ballast.held_bytes
        if was_whole or not left:
            log.warning(
                "store %s: the disk is full; %.1f MB of the ballast are left",
                self._path,
                left / 1e6,
            )
        return True

    def _tighten(self, history: History) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._ballast.half_spent:
                history.stop_growing()
            # Move the log's pages into the file, so that its room, which it keeps, is used again.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
