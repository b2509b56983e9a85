"""Stretches of recordings that a person has listened to and marked.

The columns are those of BirdCLEF 2021's hand labels (system S5, 2.2):

row_id        label/filename of a recording, e.g. whiwre1/XC518092.ogg
human_voice   1 where the stretches are speech: cut out of what is trained on
nocall        1 where nothing calls: windows wholly inside lose their labels
t_range       a list of [start, end] in seconds, e.g. [[1.5, 7]]; an end after the recording's is
              the recording's

A line sets one of the two flags; a recording may have several lines. No two stretches of a
recording overlap.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from train.corpus.tables import Row, read_table

__all__ = [
    "COLUMNS",
    "Kind",
    "Marked",
    "Stretch",
    "annotations_table",
    "read_annotations",
    "row_id",
]

COLUMNS = ("row_id", "human_voice", "nocall", "t_range")
Kind = Literal["human_voice", "nocall"]
KINDS: tuple[Kind, ...] = ("human_voice", "nocall")
BRIEFLY = 60


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a recording in which there is speech, or no call, from `start_s` to `end_s`."""

    kind: Kind
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Marked:
    """The stretches of one recording, by start; `rows` are the lines of each."""

    stretches: tuple[Stretch, ...]
    rows: tuple[Row, ...]

    def within(self, seconds: float) -> tuple[Stretch, ...]:
        """Return the stretches of a recording that is so long.

        Raises `UserError` for one that starts after its end.
        """
        for stretch, row in zip(self.stretches, self.rows, strict=True):
            if stretch.start_s >= seconds:
                what = (
                    f"starts at {stretch.start_s:g} s, but the recording has {seconds:.3f} s; "
                    "correct or remove it"
                )
                raise row.fault("t_range", what)
        return tuple(
            Stretch(kind=s.kind, start_s=s.start_s, end_s=min(s.end_s, seconds))
            for s in self.stretches
        )


def row_id(label: str, path: Path) -> str:
    """Return what the column row_id calls a recording."""
    return f"{label}/{path.name}"


def read_annotations(table: Path, recordings: Iterable[tuple[str, Path]]) -> dict[Path, Marked]:
    """Return marked stretches by the path of their recording.

    `recordings` (label, path) are those of the collection. Raises `UserError` naming line and
    column.
    """
    paths: dict[str, list[Path]] = {}
    for label, path in recordings:
        paths.setdefault(row_id(label, path), []).append(path)
    found: dict[Path, list[tuple[Stretch, Row]]] = {}
    for row in read_table(table, COLUMNS):
        path = _recording(row, paths)
        kind = _kind(row)
        found.setdefault(path, []).extend((stretch, row) for stretch in _stretches(row, kind))
    return {path: _without_overlap(stretches) for path, stretches in found.items()}


def annotations_table(marked: Iterable[tuple[str, Sequence[Stretch]]]) -> str:
    """Return the file again, from (row_id, stretches): a line per recording and kind."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, stretches in marked:
        for kind in KINDS:
            ranges = [[s.start_s, s.end_s] for s in stretches if s.kind == kind]
            if ranges:
                writer.writerow([name, *(int(kind == flag) for flag in KINDS), json.dumps(ranges)])
    return table.getvalue()


def _recording(row: Row, paths: dict[str, list[Path]]) -> Path:
    name = row.cells["row_id"]
    matches = paths.get(name, [])
    if not matches:
        raise row.fault(
            "row_id",
            f"{_short(name)} is not a label/filename of the collection; correct or remove the line",
        )
    if len(matches) > 1:
        what = f"{_short(name)} names {len(matches)} recordings of the collection"
        raise row.fault("row_id", f"{what}; rename one of the files")
    return matches[0]


def _kind(row: Row) -> Kind:
    for flag in KINDS:
        if row.cells[flag] not in ("0", "1"):
            raise row.fault(flag, f"{_short(row.cells[flag])} is neither 0 nor 1")
    flagged = [flag for flag in KINDS if row.cells[flag] == "1"]
    if len(flagged) != 1:
        which = "both are 1" if flagged else "both are 0"
        raise row.fault(
            "human_voice",
            f"one of human_voice and nocall must be 1, {which}; write a line for each kind",
        )
    return flagged[0]


def _stretches(row: Row, kind: Kind) -> list[Stretch]:
    text = row.cells["t_range"]
    try:
        ranges: Any = json.loads(text)
    except (ValueError, RecursionError):
        ranges = None
    if (
        not isinstance(ranges, list)
        or not ranges
        or not all(isinstance(pair, list) and len(pair) == 2 for pair in ranges)
    ):
        raise row.fault(
            "t_range", f"{_short(text)} is not a list of [start, end] in seconds, as in [[1.5, 7]]"
        )
    return [_stretch(row, kind, pair) for pair in ranges]


def _stretch(row: Row, kind: Kind, pair: list[Any]) -> Stretch:
    start, end = (_seconds(row, value) for value in pair)
    if start < 0:
        raise row.fault("t_range", f"the start {start:g} is negative; a recording starts at 0")
    if end <= start:
        raise row.fault(
            "t_range",
            f"[{start:g}, {end:g}] does not end after its start; exchange or correct the numbers",
        )
    return Stretch(kind=kind, start_s=start, end_s=end)


def _seconds(row: Row, value: Any) -> float:
    try:
        seconds = float(cast(float, value)) if type(value) in (int, float) else math.nan
    except OverflowError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise row.fault("t_range", f"{_short(json.dumps(value))} is not a number of seconds")
    return seconds


def _without_overlap(stretches: list[tuple[Stretch, Row]]) -> Marked:
    ordered = sorted(stretches, key=lambda pair: pair[0].start_s)
    for (before, row), (after, later) in pairwise(ordered):
        if after.start_s < before.end_s:
            faulty = later if later.line >= row.line else row
            what = (
                f"[{after.start_s:g}, {after.end_s:g}] overlaps [{before.start_s:g}, "
                f"{before.end_s:g}] of the same recording (lines {row.line} and {later.line}); "
                "shorten or remove one"
            )
            raise faulty.fault("t_range", what)
    return Marked(stretches=tuple(s for s, _ in ordered), rows=tuple(row for _, row in ordered))


def _short(text: str) -> str:
    """Return a cell as it can be shown in one line."""
    return repr(text if len(text) <= BRIEFLY else f"{text[:BRIEFLY]}...")
