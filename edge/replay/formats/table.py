"""A table for people, on a terminal or in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import RecordingEffort, ReplayResult, Unjudged
from edge.replay.formats.names import UNKNOWN, display_name
from edge.replay.formats.words import clock_time, length, unjudged_words, where_times_are_from
from edge.terminal import printable
from edge.types import Detection

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["TerminalTable"]

PIPE_WIDTH = 200  # columns where the output is not a terminal: enough that nothing is cut
NARROW = 100  # columns, below which there is no room for two dates
NO_DATE = "no date"
NAME_WIDTH = 24  # characters of a species that are always shown in one line


@dataclass(frozen=True, kw_only=True)
class _Row:
    time: str
    utc: str
    local: str
    species: str
    score: str
    novelty: str


class TerminalTable:
    """Prints a table to read: the recordings' names as headings, and a summary at the end.

    The summary says how much audio there was, how much of it was not judged and why, and by which
    clock. Where the zone is known there is the local time, too; a narrow terminal has only that.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        from rich.console import Console

        width = None if stream.isatty() else PIPE_WIDTH
        self._console = Console(
            file=stream, width=width, highlight=False, markup=False, emoji=False
        )
        self._provenance = provenance
        self._groups: list[tuple[str, list[_Row]]] = []
        self._efforts: list[RecordingEffort] = []
        self._clocks: dict[str, None] = {}

    def write(self, result: ReplayResult) -> None:
        rows = [self._row(d, result) for d in result.detections]
        if rows:
            self._groups.append((printable(result.file), rows))
        self._efforts.append(result.effort)
        self._clocks[where_times_are_from(result.clock)] = None

    def close(self) -> None:
        if self._groups:
            self._console.print(self._table())
        for line in self._summary():
            self._console.print(line, soft_wrap=True)

    def _summary(self) -> Iterator[str]:
        rows = sum(len(rows) for _, rows in self._groups)
        total = _total(self._efforts)
        audio = f"{clock_time(total.audio_s)} of audio in {_count(len(self._efforts), 'file')}"
        clocks = ", ".join(self._clocks)
        yield f"{_count(rows, 'detection')} in {audio}; start times from: {clocks}"
        if total.missing_s > 0:
            yield f"{length(total.missing_s)} missing: announced by headers, but not there"
        if total.gap_s > 0:
            yield f"{length(total.gap_s)} left out by the recorder between triggers"
        if unjudged := unjudged_words(total):
            yield unjudged

    def _row(self, d: Detection, result: ReplayResult) -> _Row:
        clock = result.clock
        local = clock.local(d.start_sample)
        return _Row(
            time=f"{clock_time(d.start_s):>9} - {clock_time(d.end_s)}",
            utc=f"{clock.utc(d.start_sample):%Y-%m-%d %H:%M:%S}" if clock.dated else NO_DATE,
            local=f"{local:%Y-%m-%d %H:%M:%S%z}" if local is not None else "",
            species=printable(display_name(d, self._provenance)),
            score=f"{d.score:.2f}",
            novelty=f"{d.novelty:.2f}",
        )

    def _table(self) -> RenderableType:
        """Return one grid for all recordings, so that columns stay in line.

        The recordings' names stand between its parts.
        """
        from rich.console import Group
        from rich.text import Text

        rows = [row for _, rows in self._groups for row in rows]
        dates = self._dates(rows)
        width = max(len(row.species) for row in rows)
        parts: list[RenderableType] = []
        for file, group in self._groups:
            grid = _grid(rows, dates, heading=not parts)
            for row in group:
                style = "dim" if row.species.startswith(UNKNOWN) else "bold"
                species = Text(row.species.ljust(width), style=style)
                when = (getattr(row, date.lower()) for date in dates)
                grid.add_row(row.time, *when, species, row.score, row.novelty)
            parts += [Text(file, style="cyan", overflow="fold"), grid]
        return Group(*parts)

    def _dates(self, rows: Sequence[_Row]) -> list[str]:
        """Return the headings of the columns of dates, which are fields of a row."""
        if not any(row.local for row in rows):
            return ["UTC"]
        all_local = all(row.local for row in rows)
        return ["local"] if all_local and self._console.width < NARROW else ["UTC", "local"]


def _grid(rows: Sequence[_Row], dates: Sequence[str], *, heading: bool) -> Table:
    """Return a table without rows, as wide as all `rows` need."""
    from rich.table import Table

    grid = Table(box=None, show_header=heading, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("time", *dates):
        width = max(len(getattr(row, name.lower())) for row in rows)
        heading_text = f"     {name}" if name == "time" else name
        grid.add_column(heading_text, min_width=width, no_wrap=True)
    species = min(max(len(row.species) for row in rows), NAME_WIDTH)
    grid.add_column("species", min_width=species, overflow="fold")
    grid.add_column("score", min_width=5, justify="right", no_wrap=True)
    grid.add_column("novelty", min_width=7, justify="right", no_wrap=True)
    return grid


def _total(efforts: Sequence[RecordingEffort]) -> RecordingEffort:
    unjudged_s: Counter[Unjudged] = Counter()
    for effort in efforts:
        unjudged_s.update(effort.unjudged_s)
    return RecordingEffort(
        audio_s=sum(effort.audio_s for effort in efforts),
        judged_s=sum(effort.judged_s for effort in efforts),
        unjudged_s=unjudged_s,
        missing_s=sum(effort.missing_s for effort in efforts),
        gap_s=sum(effort.gap_s for effort in efforts),
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
