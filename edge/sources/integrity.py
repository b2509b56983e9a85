"""What libsndfile says about a file beside its samples."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["announced_share", "muted_native_stderr"]

# libsndfile cuts its frame count down to what is there without an error; its log keeps both
# numbers.
DECLARED = re.compile(
    r"^\s*(?:data|Data Size)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE | re.IGNORECASE
)

_stderr_lock = threading.Lock()


def announced_share(log: str) -> float:
    """Return how many times the sound that is there a header announces, by libsndfile's log."""
    for declared, present in DECLARED.findall(log):
        if int(present):
            return int(declared) / int(present)
    return 1.0


@contextmanager
def muted_native_stderr(muted: bool) -> Iterator[None]:
    """Discard what C libraries print on file descriptor 2 in this block, if `muted`.

    libmpg123 comments on every damaged frame; the one line that this program prints instead names
    the file. The descriptor belongs to the whole process, hence the lock, which is held for one
    library call.
    """
    if not muted:
        yield
        return
    with _stderr_lock:
        saved = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(nowhere)
