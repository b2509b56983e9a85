"""A table for people, on a terminal or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.names import UNKNOWN, display_name
from edge.types import Detection

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["TerminalTable", "clock_time"]

PIPE_WIDTH = 200  # columns where the output is not a terminal: enough that nothing is cut


class TerminalTable:
    """Prints a table to read: the recordings' names as headings, and a summary as the last line.

    The summary says how much audio there was, and by which clock.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        from rich.console import Console

        width = None if stream.isatty() else PIPE_WIDTH
        self._console = Console(
            file=stream, width=width, highlight=False, markup=False, emoji=False
        )
        self._provenance = provenance
        self._groups: list[tuple[str, list[tuple[str, ...]]]] = []
        self._files = 0
        self._audio_s = 0.0
        self._clocks: dict[str, None] = {}

    def write(self, result: ReplayResult) -> None:
        rows = [self._row(d, result) for d in result.detections]
        if rows:
            self._groups.append((result.file, rows))
        self._files += 1
        self._audio_s += result.duration_s
        self._clocks[result.clock.source] = None

    def close(self) -> None:
        if self._groups:
            self._console.print(self._table())
        rows = sum(len(rows) for _, rows in self._groups)
        audio = f"{clock_time(self._audio_s)} of audio in {_count(self._files, 'file')}"
        self._console.print(
            f"{_count(rows, 'detection')} in {audio}; start times from: {', '.join(self._clocks)}",
            soft_wrap=True,
        )

    def _row(self, d: Detection, result: ReplayResult) -> tuple[str, ...]:
        time = f"{clock_time(d.start_s):>9} - {clock_time(d.end_s)}"
        utc = f"{result.clock.utc(d.start_sample):%Y-%m-%d %H:%M:%S}"
        return time, utc, display_name(d, self._provenance), f"{d.score:.2f}", f"{d.novelty:.2f}"

    def _table(self) -> RenderableType:
        """Return one grid for all recordings, so that columns stay in line.

        The recordings' names stand between its parts.
        """
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        widths = [max(len(row[i]) for _, rows in self._groups for row in rows) for i in range(3)]
        parts: list[RenderableType] = []
        for file, rows in self._groups:
            table = Table(box=None, show_header=not parts, padding=(0, 2, 0, 0), header_style="dim")
            for name, width in zip(("     time", "UTC"), widths[:2], strict=True):
                table.add_column(name, min_width=width, no_wrap=True)
            table.add_column("species", min_width=min(widths[2], 24), overflow="fold")
            table.add_column("score", min_width=5, justify="right", no_wrap=True)
            table.add_column("novelty", min_width=7, justify="right", no_wrap=True)
            for time, utc, name, score, novelty in rows:
                style = "dim" if name.startswith(UNKNOWN) else "bold"
                table.add_row(time, utc, Text(name.ljust(widths[2]), style=style), score, novelty)
            parts += [Text(file, style="cyan", overflow="fold"), table]
        return Group(*parts)


def clock_time(seconds: float) -> str:
    """Return seconds as h:mm:ss.s, without hours where there are none."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
