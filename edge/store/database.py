"""Opening the store's file, with durable settings and a check of its integrity.

A damaged file is set aside, so that the daemon goes on. What can be derived from the rows is
derived anew, so that damage to it, which no quick check finds, stops nothing.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge.errors import one_line
from edge.store.payloads import text_of

__all__ = ["Layout", "disk_is_full", "is_damage", "open_database", "set_aside", "transaction"]

log = logging.getLogger(__name__)

JOURNAL_BYTES = 8_000_000  # what the write-ahead log is cut back to after a burst
# With a damaged name of a table in it, SQLite's own message cannot be decoded.
SAYS_DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
NO_ROOM_BYTES = 64 * 1024  # with less free, any failure is taken for that of a full disk


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the database consists of: SQL that makes its `tables`, in their `version`.

    `recount` derives anew what follows from the rows. `upgrades` has, for an earlier version, the
    SQL that makes the next one of its tables.
    """

    tables: str
    version: int
    recount: str
    upgrades: Mapping[int, str] = field(default_factory=dict)


class _DamagedError(Exception):
    """The file is not a database of this version, or has been damaged since."""


class _NewerError(sqlite3.Error):
    """The file is sound, but a newer program made it."""


def open_database(path: Path, layout: Layout) -> tuple[sqlite3.Connection, Path | None]:
    """Open the database at `path`, made when missing; return it, and where a damaged one was put.

    The caller shares the connection among threads behind a lock of its own. Raises OSError or
    `sqlite3.Error`.
    """
    try:
        return _connect(path, layout), None
    except sqlite3.OperationalError:
        raise  # a full disk or a missing right: nothing is damaged
    except (*SAYS_DAMAGED, _DamagedError) as exc:
        aside = set_aside(path, exc)
        return _connect(path, layout), aside


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Make the block one change of a database, undone when it fails."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    finally:
        # The first error is the one to report; SQLite may have undone it, or the file is closed.
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")


def is_damage(exc: BaseException | None) -> bool:
    """Return whether the database failed on what stands in its file, not on the disk or a bug."""
    return isinstance(exc, SAYS_DAMAGED) and not isinstance(
        exc, (sqlite3.OperationalError, sqlite3.ProgrammingError)
    )


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


def _connect(path: Path, layout: Layout) -> sqlite3.Connection:
    _check_header(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    db.text_factory = text_of
    try:
        # The quick check reads every page, but does not compare indexes with tables, which takes
        # minutes on a memory card.
        faults = db.execute("PRAGMA quick_check(1)").fetchone()
        if faults[0] != "ok":
            raise _DamagedError(faults[0])
        # Before anything is changed in a file that may belong to another program.
        _ensure_tables(db, layout)
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = FULL")
        # The folder for temporary files may be on the full disk, too.
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}").fetchone()
        _recount(db, layout, path)
    except BaseException:
        db.close()
        raise
    return db


def _check_header(path: Path) -> None:
    """Raise where two bytes of the header forbid to write a file that may be written."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        header = file.read(20)
    if len(header) == 20 and not set(header[18:20]) <= {1, 2}:
        raise _DamagedError("its header is of no known format")


def _recount(db: sqlite3.Connection, layout: Layout, path: Path) -> None:
    try:
        db.executescript(f"BEGIN IMMEDIATE; {layout.recount} COMMIT;")
    except sqlite3.OperationalError as exc:  # a full disk: the next start does it
        log.warning("store %s: its sizes were not counted anew: %s", path, exc)
        if db.in_transaction:
            db.execute("ROLLBACK")


def _ensure_tables(db: sqlite3.Connection, layout: Layout) -> None:
    """Make the tables of an empty file, upgrade those of an earlier version; raises for others."""
    version = layout.version
    found = db.execute("PRAGMA user_version").fetchone()[0]
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty and found == 0:
        # One transaction: after a power cut in the middle, the file is still empty.
        db.executescript(
            f"BEGIN IMMEDIATE; {layout.tables} PRAGMA user_version = {version}; COMMIT;"
        )
        return
    if found > version:
        raise _NewerError(
            f"is of version {found}, newer than this program's {version}: update the program, or "
            "move the file away"
        )
    if found not in {version, *layout.upgrades}:
        raise _DamagedError(f"it is of version {found}, this program's is {version}")
    upgrade = "".join(layout.upgrades[earlier] for earlier in range(found, version))
    # Tried on its tables alone: nothing is changed in a file that belongs to another program.
    if _schema_after(upgrade, _schema(db)) != _schema_of(layout):
        raise _DamagedError("its tables are not those of this program")
    if upgrade:
        # One transaction: after a power cut in the middle, the file is still of its version.
        db.executescript(f"BEGIN IMMEDIATE; {upgrade} PRAGMA user_version = {version}; COMMIT;")
        log.info("store: its tables of version %d are now of version %d", found, version)


def _schema(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return type, name and SQL of all that was made by a statement."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
    return [(type_, name, one_line(sql)) for type_, name, sql in db.execute(query)]


def _schema_after(upgrade: str, schema: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return what `upgrade` makes of a schema; raises `_DamagedError` where it does not fit."""
    if not upgrade:
        return schema
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        try:
            # Tables first: what belongs to one comes after it. SQLite makes its own by itself.
            for _, name, sql in sorted(schema, key=lambda entry: entry[0] != "table"):
                if not name.startswith("sqlite_"):
                    db.execute(sql)
            db.executescript(upgrade)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as exc:
            raise _DamagedError(f"its tables are not those of this program: {exc}") from exc
        return _schema(db)


def _schema_of(layout: Layout) -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(layout.tables)
        return _schema(db)


def set_aside(path: Path, exc: BaseException) -> Path:
    """Rename the file, and its log with it, to a new name with the time in it; return that.

    `exc` says what is wrong with it.
    """
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
        exc,
        aside.name,
    )
    return aside
