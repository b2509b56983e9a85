"""One process at a time on one store or dataset: two would store everything twice.

The lock is the kernel's own (flock), on a file beside the database: it ends with the process that
holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import UserError

__all__ = ["ANYBODYS", "holder_of", "sole_user"]

# A look at who holds it takes a moment, and so does the end of the one before.
WAIT_S, AGAIN_S = 1.0, 0.1
OURS, ANYBODYS = 0o600, 0o666  # of the file; who may open it may take it
log = logging.getLogger(__name__)


@contextmanager
def sole_user(
    path: Path,
    *,
    key: str = "store.path",
    value: object = None,
    suggestion: str = "stop that one, or give this one a store of its own",
    mode: int = OURS,
) -> Iterator[None]:
    """Hold what is at `path` for this process; raises `UserError` of `key` and its `value` that
    names the process that has it, or whose lock it is where that cannot be opened.

    A new lock has the `mode`, less what the umask takes: with `ANYBODYS`, a group may share it.
    """
    value = path if value is None else value
    try:
        held = _opened(path, mode)
    except PermissionError as exc:
        raise UserError(
            f"cannot be locked: {_beside(path)} belongs to {_owner(_beside(path))}",
            key=key,
            value=value,
            suggestion="have them let you read it (chmod), once no process of theirs uses it",
        ) from exc
    try:
        if held is not None:
            if not _taken_within(held, WAIT_S):
                raise UserError(
                    f"is in use by {_who(held)}", key=key, value=value, suggestion=suggestion
                )
            _sign(held)
        yield
    finally:
        if held is not None:
            os.close(held)


def holder_of(path: Path) -> str | None:
    """Return who has the store at `path`, None where nobody has; takes nothing."""
    try:
        file = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return f"a process of {_owner(_beside(path))}, if by any"
    except OSError:
        return None
    try:
        return None if _taken(file) else _who(file)
    finally:
        os.close(file)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def _opened(path: Path, mode: int) -> int | None:
    """Open what is locked; on a disk that takes no new file, it is the folder.

    Raises PermissionError for a lock that is there and is somebody else's: another one would hold
    nobody off.
    """
    place = _beside(path)
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with contextlib.suppress(OSError):
            return os.open(place, flags | os.O_CLOEXEC, mode)
    if place.is_file():
        raise PermissionError(place)
    with contextlib.suppress(OSError):
        return os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _owner(place: Path) -> str:
    try:
        return place.owner()
    except (OSError, KeyError):  # of another machine
        return "another user"


def _taken_within(file: int, wait_s: float) -> bool:
    until_s = time.monotonic() + wait_s
    while not (taken := _taken(file)) and time.monotonic() < until_s:
        time.sleep(AGAIN_S)
    return taken


def _taken(file: int) -> bool:
    """Take the lock if it is free; return False where somebody else has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:  # a file system without locks
        log.warning("no lock is to be had here (%s): see that only one process uses it", exc)
    return True


def _who(file: int) -> str:
    try:
        number = os.pread(file, 20, 0).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        number = ""
    return f"the process {number}" if number.isdigit() else "another process"


def _sign(file: int) -> None:
    # On a full disk or a read-only one the holder has no name.
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
