"""Whether the store and the page of metrics can be opened, as `edge check` tries them.

Nothing is made or changed. What the recorder that runs already has open is in order.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import urllib.request
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge.config.config import Config
from edge.errors import ConfigError
from edge.recorder.metrics_server import listen
from edge.store.layout import LAYOUT
from edge.store.lock import holder_of

__all__ = ["page", "store_file"]

MOST_PAGE_BYTES = 10_000_000
OTHER_PROGRAM = "leave it; the recorder sets it aside and begins a fresh one"


def store_file(config: Config) -> str:
    """Say what is found of the store; raises `ConfigError` where its file cannot be used."""
    path = config.store.path
    holder = holder_of(path)
    if holder is not None:
        return f"{path}, in use by {holder}"
    if not path.exists():
        return f"{path}, made at the first start"
    try:
        fault, suggestion = _fault_of(path)
    except sqlite3.OperationalError as exc:
        fault, suggestion = f"cannot be opened: {exc}", "may this user write it and its folder?"
    except sqlite3.DatabaseError as exc:
        fault, suggestion = f"is damaged: {exc}", OTHER_PROGRAM
    if fault:
        raise ConfigError(fault, key="store.path", value=path, suggestion=suggestion)
    return f"{path}, whole"


def _fault_of(path: Path) -> tuple[str, str]:
    """Return what is wrong with a file, and what to do; raises `sqlite3.Error`."""
    where = f"{path.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(where, uri=True, isolation_level=None)) as db:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if found != "ok":
            return f"is damaged: {found}", OTHER_PROGRAM
        if version > LAYOUT.version:
            newer = f"is of version {version}, newer than this program's {LAYOUT.version}"
            return newer, "update the program, or move the file away"
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    return "", ""


def page(config: Config) -> str:
    """Say where the page of metrics can be; raises `ConfigError` where it cannot be now."""
    place = f"{config.metrics.address}:{config.metrics.port}"
    try:
        listen(CollectorRegistry(), config.metrics).server_close()
    except OSError as exc:
        holder = holder_of(config.store.path)
        if exc.errno == errno.EADDRINUSE and holder is not None and _is_a_recorders(place):
            return f"{place}, answered by {holder}"
        key, suggestion = "metrics.address", "is it one of this machine's, and is the network up?"
        if exc.errno == errno.EADDRINUSE:
            key, suggestion = "metrics.port", "another program has it; take another port"
        tries = f"{exc.strerror or exc}; the recorder runs without the page, and tries again"
        raise ConfigError(tries, key=key, value=place, suggestion=suggestion) from exc
    return f"{place} can be had"


def _is_a_recorders(place: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{place}/metrics", timeout=5) as answer:
            return b"\nedge_info{" in answer.read(MOST_PAGE_BYTES)
    except (OSError, ValueError):
        return False
