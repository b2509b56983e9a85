"""Files that are whole or not there: written beside their place, and renamed into it.

This is the one way in which the program replaces a file or a folder. With `durable`, content and
name are on the disk when the call returns, so that not even a power cut leaves half of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "make_folder",
    "new_beside",
    "placing",
    "replacing",
    "replacing_folder",
    "sync",
    "write_whole",
]

ANYBODY_READS = 0o666  # less the umask, as for any file that a program makes


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False, mode: int = ANYBODY_READS) -> Iterator[Path]:
    """Give an empty file beside `path`, of the same suffix, that takes its place if the block ends
    well and vanishes if it does not.

    Makes missing folders. Raises OSError, and leaves what stood at `path` as it was.
    """
    make_folder(path.parent, durable=durable)
    with placing(new_beside(path, mode), path, durable=durable) as staging:
        yield staging


@contextlib.contextmanager
def placing(staging: Path, path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Do as `replacing` does, with a file `staging` that is there already, on the same disk."""
    try:
        yield staging
        if durable:
            sync(staging)
        staging.replace(path)
        if durable:
            sync(path.parent)
    except OSError as exc:
        if exc.filename is None:  # a full disk names no file
            exc.filename = str(path)
        raise
    finally:
        staging.unlink(missing_ok=True)


def write_whole(
    path: Path, content: bytes | str, *, durable: bool = False, mode: int = ANYBODY_READS
) -> None:
    """Replace the file `path` by `content`; text becomes UTF-8."""
    with replacing(path, durable=durable, mode=mode) as staging:
        staging.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing_folder(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give an empty folder beside `path` that takes its place whole if the block ends well.

    A folder that stood there is removed only after that; it is back when the second of the two
    renames fails, which are needed because a folder with content cannot be replaced by one.
    """
    make_folder(path.parent, durable=durable)
    staging, retired = _beside(path), _beside(path)
    staging.mkdir(mode=0o755)
    try:
        yield staging
        if durable:
            _sync_all(staging)
        if path.exists():
            path.rename(retired)
        staging.rename(path)
        if durable:
            sync(path.parent)
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def make_folder(path: Path, *, durable: bool = False) -> None:
    """Make a folder and those above it that are missing; with `durable`, their names are on the
    disk, without which nothing in them would be found again.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if durable:
        for folder in missing:
            sync(folder.parent)


def new_beside(path: Path, mode: int = ANYBODY_READS) -> Path:
    """Make an empty file in the folder of `path`, hidden and of the same suffix; raises OSError."""
    while True:
        staging = _beside(path)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode))
            return staging


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        sync(file)
    sync(folder)


def _beside(path: Path) -> Path:
    # Not the whole name: with something added, a long one would be too long for the file system.
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix}")
