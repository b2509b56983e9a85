"""Opening the store's file, with durable settings and a check of its integrity.

A damaged file is set aside, so that the daemon goes on.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import sys
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["disk_is_full", "open_database", "set_aside"]

log = logging.getLogger(__name__)

JOURNAL_BYTES = 8_000_000  # what the write-ahead log is cut back to after a burst
NO_ROOM_BYTES = 64 * 1024  # with less free, any failure is taken for that of a full disk


class _DamagedError(Exception):
    """The file is not a database of this version, or has been damaged since."""


class _NewerError(sqlite3.Error):
    """The file is sound, but a newer program made it."""


def open_database(
    path: Path, *, tables: str, version: int
) -> tuple[sqlite3.Connection, Path | None]:
    """Open the database at `path`, made when missing; return it, and where a damaged one was put.

    The caller shares the connection among threads behind a lock of its own. Raises OSError or
    `sqlite3.Error`.
    """
    try:
        return _connect(path, tables, version), None
    except sqlite3.OperationalError:
        raise  # a full disk or a missing right: nothing is damaged
    except (sqlite3.DatabaseError, _DamagedError) as exc:
        aside = set_aside(path, exc)
        return _connect(path, tables, version), aside


def disk_is_full(exc: BaseException | None, path: Path) -> bool:
    """Return whether the database at `path` failed because the disk is full.

    Its index in shared memory then fails with an I/O error, hence the look at the disk.
    """
    if not isinstance(exc, sqlite3.OperationalError):
        return False
    return _says_full(exc) or shutil.disk_usage(path.parent).free < NO_ROOM_BYTES


def _says_full(exc: sqlite3.OperationalError) -> bool:
    if sys.version_info >= (3, 11):
        return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    # The exceptions of Python 3.10 have no code, only SQLite's text.
    return "database or disk is full" in str(exc)


def _connect(path: Path, tables: str, version: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        # The quick check reads every page, but does not compare indexes with tables, which takes
        # minutes on a memory card.
        faults = db.execute("PRAGMA quick_check(1)").fetchone()
        if faults[0] != "ok":
            raise _DamagedError(faults[0])
        # Before anything is changed in a file that may belong to another program.
        _ensure_tables(db, tables, version)
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = FULL")
        # The folder for temporary files may be on the full disk, too.
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _ensure_tables(db: sqlite3.Connection, tables: str, version: int) -> None:
    """Make the tables of an empty file; raises for a file of another version or kind."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty and found == 0:
        # One transaction: after a power cut in the middle, the file is still empty.
        db.executescript(f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {version}; COMMIT;")
    elif found > version:
        raise _NewerError(
            f"is of version {found}, newer than this program's {version}: update the program, or "
            "move the file away"
        )
    elif found != version:
        raise _DamagedError(f"it is of version {found}, this program's is {version}")


def set_aside(path: Path, reason: Exception) -> Path:
    """Rename the file, and its log with it, to a new name with the time in it; return that."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():  # a clock that was never set shows the same time at each start
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(f"{aside}{suffix}")
    path.rename(aside)
    log.error(
        "store %s is damaged (%s): set aside as %s, going on with a fresh one",
        path,
        reason,
        aside.name,
    )
    return aside
