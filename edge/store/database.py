"""Opening the store's file: durable settings, an integrity check, and a damaged file set aside so
that the daemon goes on.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["disk_is_full", "open_database"]

log = logging.getLogger(__name__)

JOURNAL_BYTES = 8_000_000  # what the write-ahead log is cut back to after a burst
NO_ROOM_BYTES = 64 * 1024  # with less free, any failure is the disk's


class _DamagedError(Exception):
    """The file is not, or is no longer, a database of this version."""


class _NewerError(sqlite3.Error):
    """The file is sound, and not for this program."""


def open_database(
    path: Path, *, tables: str, version: int
) -> tuple[sqlite3.Connection, Path | None]:
    """The database at `path`, made when missing, and where a damaged one was put; raises OSError or
    `sqlite3.Error`.

    The caller shares the connection among threads behind a lock of its own.
    """
    try:
        return _connect(path, tables, version), None
    except sqlite3.OperationalError:
        raise  # a full disk or a missing right: nothing is damaged
    except (sqlite3.DatabaseError, _DamagedError) as exc:
        aside = _set_aside(path)
        log.error(
            "store %s is damaged (%s): set aside as %s, going on with a fresh one",
            path,
            exc,
            aside.name,
        )
        return _connect(path, tables, version), aside


def disk_is_full(exc: BaseException | None, path: Path) -> bool:
    """Whether that is why the database at `path` failed; its index in shared memory fails with an
    I/O error then.
    """
    if not isinstance(exc, sqlite3.OperationalError):
        return False
    return "is full" in str(exc) or shutil.disk_usage(path.parent).free < NO_ROOM_BYTES


def _connect(path: Path, tables: str, version: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        # Quick: it reads every page, but does not compare indexes with tables, which takes minutes
        # on a memory card.
        faults = db.execute("PRAGMA quick_check(1)").fetchone()
        if faults[0] != "ok":
            raise _DamagedError(faults[0])
        # before anything is changed in a file that may not be ours
        _ensure_tables(db, tables, version)
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = FULL")
        # the folder for temporary files may be on the full disk, too
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _ensure_tables(db: sqlite3.Connection, tables: str, version: int) -> None:
    """Make the tables of an empty file; refuse a file of anything else."""
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


def _set_aside(path: Path) -> Path:
    """Rename the file, and its log with it, to a name with the time in it that nothing has yet."""
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
    return aside
