"""The store read by other programs while the recorder writes it: nothing is written, ever.

A connection is opened for one question and closed after it, so that no reader keeps the log of a
recorder from being cut back, and a file that was set aside is not read on.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge.errors import UserError
from edge.store.layout import LAYOUT
from edge.store.payloads import text_of

__all__ = ["reading"]

BUSY_S = 2.0
START_IT = "start the recorder once with this version of the program, which brings it up to date"
WHO = "the recorder's user and root may read it: try with sudo"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store at `path` to read it; rows are `sqlite3.Row`.

    Raises `UserError` where there is none, where it may not be read, or where it is of another
    version.
    """
    with _known_failures(path), contextlib.closing(_connect(path)) as db:
        db.execute("PRAGMA query_only = ON")
        db.execute(
            "PRAGMA cache_size = -512"
        )  # KiB: each page asks for little, and there is no memory
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != LAYOUT.version:
            reason = f"{path}: is a store of version {found}, this program's is {LAYOUT.version}"
            raise UserError(reason, suggestion=START_IT if found < LAYOUT.version else "update it")
        # One state of the store for all that is asked of it.
        db.execute("BEGIN")
        yield db


@contextlib.contextmanager
def _known_failures(path: Path) -> Iterator[None]:
    if not path.is_file():
        reason = "is not there" if _may_look(path) else "may not be read"
        suggestion = "" if _may_look(path) else WHO
        raise UserError(f"the store {path} {reason}", suggestion=suggestion)
    try:
        yield
    except sqlite3.Error as exc:
        raise UserError(f"the store {path} cannot be read: {exc}", suggestion=WHO) from exc


def _may_look(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file; where nobody has it open and its folder is read-only, it cannot change."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    # Without this, SQLite has to make the two files beside it before it can read.
    alone = not path.with_name(f"{path.name}-wal").exists() and not _writable(path.parent)
    db = sqlite3.connect(
        f"{uri}&immutable=1" if alone else uri, uri=True, isolation_level=None, timeout=BUSY_S
    )
    db.text_factory = text_of
    db.row_factory = sqlite3.Row
    return db


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)
