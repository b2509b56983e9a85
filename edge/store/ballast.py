"""Room on the disk for the store alone: a file beside the database that only takes space.

When the disk is full, the file is given up part by part, and the store goes on in that room. It
keeps the room, because SQLite's files are not cut back while they are open. The file is made whole
again when there is plenty of room.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["Ballast"]

# Given up one after the other, so that another program that fills the disk gets one at most.
PARTS = 64


class Ballast:
    """A file at `path` of up to `size_bytes` that are really allocated; there is none for 0.

    One thread at a time uses it.
    """

    def __init__(
        self,
        path: Path,
        *,
        size_bytes: int,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._free_bytes = free_bytes
        self.held_bytes = path.stat().st_size if path.is_file() else 0
        if self.held_bytes > size_bytes:
            self._cut(size_bytes)

    @property
    def whole(self) -> bool:
        """Whether no part is given up."""
        return self.held_bytes == self._size_bytes

    @property
    def half_spent(self) -> bool:
        """Whether at least half is given up."""
        return 2 * self.held_bytes <= self._size_bytes

    def release(self) -> bool:
        """Give up a part; return False when none is left or the file system refuses."""
        if not self.held_bytes:
            return False
        return self._cut(max(0, self.held_bytes - -(-self._size_bytes // PARTS)))

    def refill(self) -> bool:
        """Take back what was given up, if as much as the whole stays free; return whether whole."""
        missing = self._size_bytes - self.held_bytes
        with contextlib.suppress(OSError):
            if missing and self._free_bytes(self._path.parent) >= missing + self._size_bytes:
                self._allocate()
        return self.whole

    def _allocate(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size_bytes)
        except OSError:
            os.ftruncate(file, self.held_bytes)  # some file systems stop half way
            raise
        finally:
            os.close(file)
        self.held_bytes = self._size_bytes

    def _cut(self, size_bytes: int) -> bool:
        try:
            if size_bytes:
                os.truncate(self._path, size_bytes)
            else:
                self._path.unlink(missing_ok=True)
        except OSError:
            return False
        self.held_bytes = size_bytes
        return True
