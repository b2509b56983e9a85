"""How far a job has come: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from edge.replay.progress import Report, progress_bar
from edge.terminal import aside

__all__ = ["archive_progress"]

EVERY_S = 60.0


class Progress(Protocol):
    """What a job has done so far."""

    @property
    def audio_s(self) -> float: ...
    def __str__(self) -> str: ...


@contextmanager
def archive_progress(
    files: int, summary: Progress, *, now_s: Callable[[], float] = time.monotonic
) -> Iterator[Report]:
    """Report on so many `files`; `summary` is the text of a line, and says how far it is."""
    began_s = now_s()

    def audio() -> str:
        speed = summary.audio_s / max(now_s() - began_s, 1e-3)
        return f", {summary.audio_s / 3600:.1f} h of audio, {speed:.0f} x"

    with progress_bar(files, streaming=False, note=audio) as report:
        if sys.stderr.isatty():
            yield report
            return
        said_s = began_s

        def advance(done: float) -> None:
            nonlocal said_s
            if now_s() - said_s < EVERY_S:
                return
            said_s = now_s()
            left_s = (said_s - began_s) * (files - done) / done if done else 0.0
            left = f"about {left_s / 60:.0f} min left"
            aside(f"{int(done)}/{files} files{audio()}, {left}: {summary}")

        yield report._replace(advance=advance)
