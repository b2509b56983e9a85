"""How far a job has come: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.replay.progress import Report, progress_bar
from edge.terminal import aside

__all__ = ["archive_progress"]

EVERY_S = 60.0


@contextmanager
def archive_progress(
    files: int, summary: object, *, now_s: Callable[[], float] = time.monotonic
) -> Iterator[Report]:
    """Report on so many `files`; `summary` is the text of a line."""
    with progress_bar(files, streaming=False) as report:
        if sys.stderr.isatty():
            yield report
        else:
            said_s = began_s = now_s()

            def advance(done: float) -> None:
                nonlocal said_s
                if now_s() - said_s < EVERY_S:
                    return
                said_s = now_s()
                left_s = (said_s - began_s) * (files - done) / done if done else 0.0
                aside(f"{int(done)}/{files} files, about {left_s / 60:.0f} min left: {summary}")

            yield report._replace(advance=advance)
