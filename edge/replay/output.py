"""Output that is whole or not there: written beside its place and renamed."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge.errors import ConfigError

__all__ = ["atomic_path", "refuse_to_overwrite", "text_output"]


@contextmanager
def text_output(path: str | None) -> Iterator[TextIO]:
    """A text stream on standard output, or on the file `path`, which appears only when the block
    ends without an exception.

    File names may hold bytes that are not UTF-8; they go out as they came in.
    """
    if path is None or path == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        yield sys.stdout
        sys.stdout.flush()
        return
    with (
        atomic_path(path) as staging,
        open(staging, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream,
    ):
        yield stream


@contextmanager
def atomic_path(path: str) -> Iterator[Path]:
    """A temporary file in the folder of `path` that takes its name when the block ends well, and
    vanishes when it does not.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ConfigError(f"{path}: its folder does not exist")
    if target.exists() and not target.is_file():
        raise ConfigError(f"{path}: is there and not a regular file")
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent
        )
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written ({exc.strerror})") from exc
    os.close(handle)
    staging = Path(name)
    try:
        yield staging
        umask = os.umask(0)
        os.umask(umask)
        staging.chmod(0o666 & ~umask)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def refuse_to_overwrite(outputs: Sequence[str | None], recordings: Sequence[str]) -> None:
    """Raise `ConfigError` when an output names one of the recordings."""
    real = {os.path.realpath(recording) for recording in recordings}
    for output in outputs:
        if output is not None and os.path.realpath(output) in real:
            raise ConfigError(f"{output}: is one of the recordings, and would be overwritten")
