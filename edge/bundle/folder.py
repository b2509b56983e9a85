"""The files of a bundle's folder, as a stranger may have made them: none is trusted by its name."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

from edge.errors import BundleError, shown

__all__ = ["COPY_AGAIN", "content_of", "placed", "refuse_other_files"]

COPY_AGAIN = "copy the bundle again"
MOST_FILES = 100  # a folder with more is no bundle, and is not read to its end


def placed(folder: Path, name: object) -> Path:
    """Return the path of the file `name` in `folder`, whoever has written the name.

    This is the only way from a name in a file to a path. Raises `BundleError` for a name that leads
    elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}", name):
        raise BundleError(f"{folder}: {shown(name)} cannot be the name of a file of a bundle")
    return folder / name


def content_of(file: Path, *, most_bytes: int) -> bytes:
    """Return the content of the regular file `file`, of at most `most_bytes`; follows no link.

    Raises FileNotFoundError, and `BundleError` for whatever else keeps it from being read.
    """
    try:
        # Without O_NONBLOCK, a pipe would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(file, flags), "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{file}: is no file", suggestion=COPY_AGAIN)
            content = b"" if found.st_size > most_bytes else opened.read(most_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FileNotFoundError(exc.errno, exc.strerror, str(file)) from exc
    except OSError as exc:
        if os.path.islink(file):  # unlike a path's own method, this never raises
            raise BundleError(f"{file}: is a link, not a file", suggestion=COPY_AGAIN) from exc
        raise BundleError(f"{file}: cannot be read ({exc.strerror or exc})") from exc
    if found.st_size > most_bytes or len(content) > most_bytes:
        raise BundleError(f"{file}: is larger than {most_bytes // 1_000_000} MB")
    return content


def refuse_other_files(folder: Path, names: Collection[str]) -> None:
    """Raise `BundleError`, which names the first thing in `folder` that is none of `names`."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry, _ in zip(entries, range(MOST_FILES), strict=False)]
    except OSError as exc:
        raise BundleError(f"{folder}: cannot be read ({exc.strerror or exc})") from exc
    strange = sorted(set(found) - set(names))
    if strange:
        raise BundleError(
            f"{folder}: holds {shown(strange[0])}, which is no file of this bundle",
            suggestion="take it out, or copy the bundle again",
        )
