"""The index of a dataset: the tables of a recorder's store, filled from its Parquet files.

So each question of the page is asked of a dataset as it is of a recorder. Beside these tables stand
the recordings and their sites; rows of events and effort know theirs. To look at one site only,
views of the same names take the place of the tables for one connection.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from edge.errors import UserError
from edge.store.layout import LAYOUT
from edge.store.payloads import text_of

__all__ = ["INDEX", "look_at_site", "writable_index"]

FORM = 1  # of what is below; another one, or another form of the store, is another file
INDEX = f"index-{LAYOUT.version}-{FORM}.db"
SITED = ("latest", "effort")
OWN = """
ALTER TABLE latest ADD COLUMN site INTEGER;
ALTER TABLE latest ADD COLUMN recording INTEGER;
CREATE INDEX latest_site_time ON latest (site, start_utc, label);
CREATE INDEX latest_site_label ON latest (site, label, start_utc);
CREATE INDEX latest_recording ON latest (recording, start_utc);
ALTER TABLE effort ADD COLUMN site INTEGER;
ALTER TABLE effort ADD COLUMN recording INTEGER;
CREATE INDEX effort_site ON effort (site, start_utc, heard_s);
CREATE INDEX effort_recording ON effort (recording);
CREATE TABLE sites (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, time_zone TEXT);
CREATE TABLE recordings (
    number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, part TEXT NOT NULL,
    site INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, dated INTEGER NOT NULL,
    start_utc TEXT, clock_source TEXT, time_zone TEXT, duration_s REAL NOT NULL,
    judged_s REAL NOT NULL, silent_s REAL NOT NULL, missing_s REAL NOT NULL,
    detections INTEGER NOT NULL, channel TEXT NOT NULL, size_bytes INTEGER, modified_utc TEXT,
    head_sha256 TEXT, etag TEXT);
CREATE INDEX recordings_part ON recordings (part);
CREATE INDEX recordings_site ON recordings (site, dated, start_utc);
CREATE TABLE parts (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE changes (count INTEGER NOT NULL);
INSERT INTO changes VALUES (0);
"""
BUSY_S = 30.0
PAGE_BYTES = 8192  # into which five messages go


def writable_index(path: Path) -> sqlite3.Connection:
    """Open the index at `path` to fill it, made when missing; a damaged one is made anew.

    Raises `UserError` where that cannot be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _opened(path)
        except sqlite3.OperationalError:
            raise  # a full disk or a missing right: nothing is damaged
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            return _opened(path)
    except (OSError, sqlite3.Error) as exc:
        raise UserError(f"the index {path} cannot be written: {exc}") from exc


def look_at_site(db: sqlite3.Connection, site: int) -> None:
    """Let a connection see the events and the effort of one site only."""
    (events,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'events'").fetchone()
    db.execute("PRAGMA query_only = OFF")  # for views of this connection; the file stays as it is
    for table in SITED:
        db.execute(
            f"CREATE TEMP VIEW {table} AS SELECT * FROM main.{table} WHERE site = {int(site)}"
        )
    db.execute(events.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
    db.execute("PRAGMA query_only = ON")


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
    db.text_factory = text_of
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that is made now
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = NORMAL")
        _make(db)
        if db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT.version:
            raise sqlite3.DatabaseError("its tables are not those of this program")
        db.execute("SELECT count FROM changes").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _make(db: sqlite3.Connection) -> None:
    """Make the tables of an empty file, in one transaction, unless another process was first."""
    with contextlib.closing(sqlite3.connect(":memory:")) as plain:
        plain.executescript(LAYOUT.tables)
        # They keep what a recorder writes in step; here all of it is written together.
        names = plain.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    triggers = "".join(f"DROP TRIGGER {name};" for (name,) in names)
    version = f"PRAGMA user_version = {LAYOUT.version};"
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    try:
        db.executescript(f"BEGIN IMMEDIATE; {LAYOUT.tables} {triggers} {OWN} {version} COMMIT;")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise
