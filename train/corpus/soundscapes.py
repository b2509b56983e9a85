"""What calls in whole recordings, and when, as tables say that people have made of them.

Rows of 5 s are BirdCLEF's: `row_id`, the name of the recording and the second at which the row ends
(7019_COR_5), and `birds`, labels with blanks between them or `nocall`; there may be a `site`.
Selection tables are Raven's and those of `edge replay` (`train.corpus.selections`): one that names
recordings, or one beside each, named as it is. Of these all that is not marked is nocall.
`unknown` is an animal that nobody could name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from edge.errors import UserError, shown
from train.corpus.folders import AUDIO, files_below
from train.corpus.selections import SUFFIXES, Selection, is_selection_table, read_selections
from train.corpus.soundscape import (
    ROW_S,
    Mark,
    Soundscape,
    length_of,
    refuse_past_the_end,
    tiled,
)
from train.corpus.tables import fault_in, number_in, read_rows

__all__ = ["NOCALL", "read_soundscapes"]

NOCALL = "nocall"
COLUMNS = ("row_id", "birds")
ROWS = ".csv"
TABLES = {ROWS, *SUFFIXES}
SITE_OF_2021 = r"\d+_([A-Z]+)"  # the second part of BirdCLEF 2021's row_id


def read_soundscapes(source: Path, recordings: Path | None = None) -> tuple[Soundscape, ...]:
    """Return the annotated recordings of a table, or of all tables in a folder, by path.

    They lie in the folder `recordings`, or where the table is or below. Raises `UserError`, which
    names the table and the line, for what cannot be of these recordings.
    """
    source = source.resolve()
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    found: dict[Path, Soundscape] = {}
    for table in _tables(source):
        reader = _of_rows if _is_row_table(table) else _of_selections
        folder = (recordings or table.parent).resolve()
        for soundscape in reader(table, folder, files_below(folder, AUDIO)):
            if soundscape.path in found:
                raise UserError(f"{table}: {soundscape.path.name} is in another table, too")
            found[soundscape.path] = soundscape
    return tuple(found[path] for path in sorted(found))


def _tables(source: Path) -> list[Path]:
    files = [source] if source.is_file() else files_below(source, TABLES)
    tables = [file for file in files if _is_row_table(file) or is_selection_table(file)]
    if not tables:
        what = "is no table" if source.is_file() else "has no table"
        raise UserError(
            f"{source}: {what} of soundscapes",
            suggestion="give rows with the columns row_id and birds, or Raven's selections",
        )
    return tables


def _is_row_table(path: Path) -> bool:
    if path.suffix.lower() != ROWS:
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return set(COLUMNS) <= {name.strip() for name in file.readline(10_000).split(",")}


def _of_rows(table: Path, folder: Path, audio: Sequence[Path]) -> list[Soundscape]:
    spans: dict[Path, list[tuple[float, float, int]]] = defaultdict(list)
    marks: dict[Path, list[Mark]] = defaultdict(list)
    sites: dict[Path, str] = {}
    for line, row in read_rows(table, COLUMNS):
        name, _, second = row["row_id"].rpartition("_")
        path = _recording(table, line, name, audio, folder)
        end = number_in(table, line, {"row_id": second}, "row_id")
        start = end - ROW_S
        if start < 0:
            raise fault_in(table, line, f"a row of {ROW_S:g} s cannot end at {end:g} s")
        spans[path].append((start, end, line))
        sites[path] = row.get("site", "") or _site(name)
        marks[path] += (
            Mark(name=bird, start_s=start, end_s=end, table=table, line=line)
            for bird in _birds(table, line, row["birds"])
        )
    if not spans:
        raise UserError(f"{table}: has no rows")
    return [
        _soundscape(path, sites[path], marks[path], _in_order(table, path, rows), table)
        for path, rows in spans.items()
    ]


def _recording(table: Path, line: int, name: str, audio: Sequence[Path], folder: Path) -> Path:
    """Return the recording that a row is of: named so, or with more behind it (7019_COR_2019)."""
    named = [p for p in audio if p.stem == name]
    named = named or [p for p in audio if name and p.stem.startswith(f"{name}_")]
    if len(named) != 1:
        what = "no recording is" if not named else f"{len(named)} recordings are"
        raise fault_in(table, line, f"{what} named {shown(name)} in {folder}")
    return named[0]


def _site(name: str) -> str:
    found = re.fullmatch(SITE_OF_2021, name)
    return found[1] if found else ""


def _birds(table: Path, line: int, cell: str) -> list[str]:
    birds = [NOCALL if bird.casefold() == NOCALL else bird for bird in cell.split()]
    if not birds:
        raise fault_in(table, line, f"column birds is empty; where there is none, say {NOCALL}")
    if NOCALL in birds and len(birds) > 1:
        raise fault_in(table, line, f"{shown(cell)} is {NOCALL} and a species at once")
    return [] if birds == [NOCALL] else list(dict.fromkeys(birds))


def _in_order(
    table: Path, path: Path, rows: Iterable[tuple[float, float, int]]
) -> list[tuple[float, float, int]]:
    ordered = sorted(rows)
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            what = f"the row of {path.name} until {after[1]:g} s overlaps that of line {before[2]}"
            raise fault_in(table, max(before[2], after[2]), what)
    return ordered


def _soundscape(
    path: Path,
    site: str,
    marks: Iterable[Mark],
    rows: Sequence[tuple[float, float, int]],
    table: Path,
) -> Soundscape:
    seconds, fault = length_of(path)
    for _, end, line in rows:
        if not fault:
            refuse_past_the_end(path, end, seconds, table, line)
    return Soundscape(
        path=path,
        site=site,
        marks=tuple(marks),
        rows=tuple((start, min(end, seconds)) for start, end, _ in rows),
        exact=False,
        seconds=seconds,
        fault=fault,
    )


def _of_selections(table: Path, folder: Path, audio: Sequence[Path]) -> list[Soundscape]:
    marks: dict[Path, list[Selection]] = defaultdict(list)
    for selection in read_selections(table, unknown=True):
        if not selection.name:
            raise fault_in(table, selection.line, "the selection has no label")
        marks[_selected(table, selection, folder, audio)].append(selection)
    if not marks:
        raise UserError(
            f"{table}: marks nothing",
            suggestion=f"select a stretch and label it {NOCALL} where nothing calls",
        )
    return [_of_marks(path, selections, table) for path, selections in marks.items()]


def _selected(table: Path, selection: Selection, folder: Path, audio: Sequence[Path]) -> Path:
    if selection.file:
        name = selection.file.replace("\\", "/").rpartition("/")[2]
        there = [p for p in audio if p.name == name]
        return there[0] if len(there) == 1 else selection.beside(table)
    own = [p for p in audio if table.name.startswith((f"{p.stem}.", f"{p.name}."))]
    if len(own) != 1:
        what = f"names no recording, and {len(own)} in {folder} are named as it is"
        raise UserError(f"{table}: {what}")
    return own[0]


def _of_marks(path: Path, selections: Sequence[Selection], table: Path) -> Soundscape:
    seconds, fault = length_of(path)
    for s in selections:
        if not fault:
            refuse_past_the_end(path, s.end_s, seconds, table, s.line)
    return Soundscape(
        path=path,
        site=next((s.site for s in selections if s.site), ""),
        marks=tuple(_mark(s, table) for s in selections if s.name.casefold() != NOCALL),
        rows=tiled(seconds),
        exact=True,
        seconds=seconds,
        fault=fault,
    )


def _mark(selection: Selection, table: Path) -> Mark:
    return Mark(
        name=selection.name,
        start_s=selection.start_s,
        end_s=selection.end_s,
        table=table,
        line=selection.line,
        common_name=selection.common_name,
        scientific_name=selection.scientific_name,
        band_hz=selection.band_hz,
    )
