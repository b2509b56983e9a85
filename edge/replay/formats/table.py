"""A table for people, on a terminal or in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from edge.bundle.labels import UNKNOWN
from edge.provenance import Provenance
from edge.replay.formats.base import RecordingEffort, ReplayResult, Unjudged
from edge.replay.formats.names import display_name
from edge.replay.formats.words import clock_time, length, unjudged_words, where_times_are_from
from edge.terminal import printable
from edge.types import Detection

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["TerminalTable"]

PIPE_WIDTH = 200  # columns where the output is not a terminal: enough that nothing is cut
NO_DATE = "no date"
NAME_WIDTH = 16  # characters of a species that are always shown in one line
SPACING = 2  # between columns
HEADINGS = {
    "time": "     time",
    "utc": "UTC",
    "local": "local",
    "species": "species",
    "score": "score",
    "right": "right",
    "novelty": "novelty",
}
NUMBERS = {"score", "right", "novelty"}
# What a narrow terminal has no room for, the first to go first.
DISPENSABLE = ("novelty", "local", "utc", "score", "right")


@dataclass(frozen=True, kw_only=True)
class _Row:
    time: str
    utc: str
    local: str
    species: str
    score: str
    right: str  # how likely the label is, where the bundle is calibrated
    novelty: str


class TerminalTable:
    """Prints a table to read: the recordings' names as headings, and a summary at the end.

    The summary says how much audio there was, how much of it was not judged and why, and by which
    clock. Where the zone is known there is the local time, too. A narrow terminal has fewer
    columns.
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
        if total.below_precision:
            left_out = _count(total.below_precision, "event")
            yield f"{left_out} left out: below the precision that was asked for"
        if unjudged := unjudged_words(total):
            yield unjudged

    def _row(self, d: Detection, result: ReplayResult) -> _Row:
        clock = result.clock
        local = clock.local(d.start_sample)
        probability = self._provenance.probability(d.label, d.score)
        return _Row(
            time=f"{clock_time(d.start_s):>9} - {clock_time(d.end_s)}",
            utc=f"{clock.utc(d.start_sample):%Y-%m-%d %H:%M:%S}" if clock.dated else NO_DATE,
            local=f"{local:%Y-%m-%d %H:%M:%S%z}" if local is not None else "",
            species=printable(display_name(d, self._provenance)),
            score=f"{d.score:.2f}",
            right="" if probability is None else _percent(probability),
            novelty=f"{d.novelty:.2f}",
        )

    def _table(self) -> RenderableType:
        """Return one grid for all recordings, so that columns stay in line.

        The recordings' names stand between its parts.
        """
        from rich.console import Group
        from rich.text import Text

        rows = [row for _, group in self._groups for row in group]
        widths = _fitting({name: _width(rows, name) for name in HEADINGS}, self._console.width)
        parts: list[RenderableType] = []
        for file, group in self._groups:
            grid = _grid(widths, heading=not parts)
            for row in group:
                style = "dim" if row.species.startswith(UNKNOWN) else "bold"
                species = Text(row.species.ljust(_width(rows, "species")), style=style)
                grid.add_row(
                    *(species if name == "species" else getattr(row, name) for name in widths)
                )
            parts += [Text(file, style="cyan", overflow="fold"), grid]
        return Group(*parts)


def _percent(probability: float) -> str:
    """Return a probability that is never certain."""
    whole = min(max(round(100 * probability), 1), 99)
    sign = ">" if probability > 0.995 else "<" if probability < 0.005 else ""
    return f"{sign}{whole}%"


def _width(rows: Sequence[_Row], name: str) -> int:
    """Return the width of a column, 0 where there is nothing in it."""
    widest = max(len(getattr(row, name)) for row in rows)
    return max(widest, len(HEADINGS[name])) if widest else 0


def _fitting(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the columns that have room, with the least width of each.

    Half a number or half a date would be wrong, so that a column is whole or not there.
    """
    kept = {name: width for name, width in widths.items() if width}
    kept["species"] = min(kept["species"], NAME_WIDTH)
    # Of two dates, people at a terminal can do without the one that is in every file.
    for name in ("utc", *DISPENSABLE) if "local" in kept else DISPENSABLE:
        if sum(kept.values()) + SPACING * (len(kept) - 1) <= room:
            break
        kept.pop(name, None)
    others = sum(kept.values()) - kept["species"] + SPACING * (len(kept) - 1)
    return {**kept, "species": max(1, min(kept["species"], room - others))}


def _grid(widths: Mapping[str, int], *, heading: bool) -> Table:
    """Return a table without rows, in which only the species' names are folded."""
    from rich.table import Table

    grid = Table(
        box=None,
        show_header=heading,
        padding=(0, SPACING, 0, 0),
        pad_edge=False,
        header_style="dim",
    )
    for name, width in widths.items():
        folded = name == "species"
        grid.add_column(
            HEADINGS[name],
            min_width=width,
            no_wrap=not folded,
            overflow="fold",
            justify="right" if name in NUMBERS else "left",
        )
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
        below_precision=sum(effort.below_precision for effort in efforts),
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
