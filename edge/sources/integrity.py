"""Whether a recording is whole, as far as its container can tell before it is decoded."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["missing_from_header", "muted_native_stderr"]

# What ffmpeg, sox and arecord write into a pipe as a size that they do not know yet.
UNFINISHED = {0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFF000}
# libsndfile cuts its frame count down to what is there without an error; its log keeps both
# numbers.
DECLARED = re.compile(
    r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE
)
LARGEST_PAGE = 65_307  # bytes of an Ogg page
PAGE_HEADER = 27
END_OF_STREAM = 4

_stderr_lock = threading.Lock()


def missing_from_header(path: str, container: str, log: str) -> str | None:
    """Return why the file at `path` is known to be cut off, or None when nothing says so.

    `container` and `log` are libsndfile's, from opening the file.
    """
    if container == "OGG":
        return _ogg_tail(path)
    for declared, present in DECLARED.findall(log):
        # 8 bytes are a missing pad byte or an empty chunk, not audio.
        if int(declared) not in UNFINISHED and int(declared) > int(present) + 8:
            return f"its header promises {declared} bytes and {present} are there"
    return None


def _ogg_tail(path: str) -> str | None:
    """Return what is missing at the end of an Ogg stream, or None.

    It is whole when its last page is whole and marked as the end of the stream.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * LARGEST_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + PAGE_HEADER > len(tail):
        return "it ends within a page"
    segments = tail[page + 26]
    length = PAGE_HEADER + segments + sum(tail[page + PAGE_HEADER : page + PAGE_HEADER + segments])
    if page + length > len(tail):
        return "it ends within a page"
    return None if tail[page + 5] & END_OF_STREAM else "its stream has no end mark"


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
