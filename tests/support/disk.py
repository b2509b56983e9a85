"""A disk so small that a test can fill it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["fill", "small_disk"]


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A tmpfs at `folder`, which is made; raises where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def fill(disk: Path) -> Path:
    """A file that takes all that is left, again and again."""
    file = disk / "neighbour"
    with file.open("ab", buffering=0) as neighbour, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free:
            neighbour.write(bytes(min(10**6, shutil.disk_usage(disk).free)))
            os.fsync(neighbour.fileno())
    return file
