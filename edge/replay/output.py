"""Where the results of a replay go: the screen, or a file that is whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge.errors import ConfigError
from edge.files import new_beside, placing
from edge.terminal import SPELLED_OUT, spell_out

__all__ = ["output_file", "refuse_to_overwrite", "text_output"]


@contextmanager
def text_output(path: str | None) -> Iterator[TextIO]:
    """Give a text stream on standard output, or on the file `path`.

    The file appears only when the block ends without an exception, and is UTF-8 whatever the
    terminal is. What cannot be written, such as a byte of a file name that is not UTF-8, is spelled
    out.
    """
    if path is None or path == "-":
        spell_out(sys.stdout)
        yield sys.stdout
        sys.stdout.flush()
        return
    with (
        output_file(path) as staging,
        open(staging, "w", encoding="utf-8", errors=SPELLED_OUT, newline="\n") as stream,
    ):
        yield stream


@contextmanager
def output_file(path: str) -> Iterator[Path]:
    """Give a file beside `path` that takes its name when the block ends well.

    It vanishes when the block does not; raises `ConfigError` where there cannot be such a file.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ConfigError(f"{path}: its folder does not exist")
    if target.exists() and not target.is_file():
        raise ConfigError(f"{path}: is there and not a regular file")
    try:
        staging = new_beside(target)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written ({exc.strerror})") from exc
    with placing(staging, target):
        yield staging


def refuse_to_overwrite(outputs: Sequence[str | None], recordings: Sequence[str]) -> None:
    """Raise `ConfigError` when an output names one of the recordings."""
    real = {os.path.realpath(recording) for recording in recordings}
    for output in outputs:
        if output is not None and os.path.realpath(output) in real:
            raise ConfigError(f"{output}: is one of the recordings, and would be overwritten")
