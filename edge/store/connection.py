"""The store's one connection: transactions for all threads, which make room on a full disk."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from edge.errors import StoreError
from edge.store.ballast import Ballast
from edge.store.database import disk_is_full, open_database
from edge.store.history import History

__all__ = ["SharedConnection"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class SharedConnection:
    """The connection `db` to the file `path`, behind one lock, with ballast for a full disk.

    Any thread may call any method. `quarantined` is where a damaged file was put. Raises
    `StoreError` where the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, tables: str, version: int, ballast_bytes: int) -> None:
        self._path = path
        self._lock = threading.RLock()
        ballast = path.with_name(f"{path.name}-ballast")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ballast = Ballast(ballast, size_bytes=ballast_bytes)
            self.db, self.quarantined = self._open(tables, version)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        if not self._ballast.refill():
            log.warning(
                "store %s: there is no room for its ballast; clear the disk, or ask for less", path
            )

    def close(self) -> None:
        """Close the file; no method works afterwards."""
        with self._lock:
            self.db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block one transaction, undone when it fails; raises `StoreError`."""
        with self._lock:
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield
                self.db.execute("COMMIT")
            except sqlite3.Error as exc:
                raise StoreError(f"{self._path}: {exc}") from exc
            finally:
                # The first error is the one to report; a closed file has nothing to undo.
                with contextlib.suppress(sqlite3.Error):
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")

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
                    with self.transaction():
                        return work()
                except StoreError as exc:
                    if not (disk_is_full(exc.__cause__, self._path) and self._give_way()):
                        raise
                    self._tighten(history)

    def _open(self, tables: str, version: int) -> tuple[sqlite3.Connection, Path | None]:
        while True:
            try:
                return open_database(self._path, tables=tables, version=version)
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
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
