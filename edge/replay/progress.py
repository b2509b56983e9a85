"""How far a replay has come, as a bar on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from edge.errors import one_line
from edge.terminal import complain, printable, warn

__all__ = ["Report", "progress_bar"]

REDRAW_S = 0.1  # drawing takes as long as replaying a second of audio


class Report(NamedTuple):
    """How to report the number of files done, fractions included, a file that failed, and what a
    person should know of one that did not.
    """

    advance: Callable[[float], None]
    complain: Callable[[str], None]
    warn: Callable[[str], None]


@contextmanager
def progress_bar(files: int, *, streaming: bool, note: Callable[[], str] = str) -> Iterator[Report]:
    """Draw a bar on a terminal, and none elsewhere.

    There is none either when the results are `streaming` to that terminal too. `note` is added to
    the number of files.
    """
    if not sys.stderr.isatty() or (streaming and sys.stdout.isatty()):
        yield Report(lambda done: None, complain, warn)
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[files]}"),
    )
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    # No refresh thread: the decoder mutes file descriptor 2 for moments, and half a cursor movement
    # would be lost in one.
    bar = rich_progress.Progress(*columns, console=console, transient=True, auto_refresh=False)
    with bar:
        task = bar.add_task("", total=files, files=f"0/{files} files")
        drawn_s = 0.0

        def advance(done: float) -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= REDRAW_S:
                drawn_s = now_s
                text = f"{int(done)}/{files} files{note()}"
                bar.update(task, completed=done, files=text, refresh=True)

        def print_above(prefix: str, message: str) -> None:
            console.print(f"{prefix}: {printable(one_line(message))}", soft_wrap=True)

        yield Report(advance, partial(print_above, "error"), partial(print_above, "warning"))
