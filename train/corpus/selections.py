"""Tables that say when a recording has what: Raven's, and what `edge replay` writes.

Raven's are separated by tabs and have the columns Begin Time (s) and End Time (s); the label is in
the first of `LABELS` that is filled, and Low Freq (Hz) and High Freq (Hz) say in which band. A
table of `edge replay --format csv` has file, start_s, end_s and label. What a program called
unknown says nothing about what is there, and is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from edge.bundle.labels import UNKNOWN
from edge.errors import UserError, shown
from train.corpus.tables import fault_in, number_in, read_rows, table_lines

__all__ = ["Selection", "is_selection_table", "read_selections"]

BEGIN, END, OFFSET = "Begin Time (s)", "End Time (s)", "File Offset (s)"
RAVEN = (BEGIN, END)
LOW, HIGH = "Low Freq (Hz)", "High Freq (Hz)"
PLAIN = ("file", "start_s", "end_s", "label")
LABELS = ("Species Code", "Species", "Label", "Annotation", "Class", "Common Name")
FILES = ("Begin Path", "Begin File", "file")
SUFFIXES = (".txt", ".csv", ".tsv")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A stretch of a recording, from `start_s` to `end_s`, that is marked as `name`.

    `name` is empty where the table has no label; `file` is that of the recording as the table has
    it, empty where it names none. `line` is where in the table it stands. `band_hz` is from where
    to where it sounds, None where the table does not say. `site` may be empty.
    """

    file: str
    start_s: float
    end_s: float
    name: str
    common_name: str
    scientific_name: str
    line: int
    band_hz: tuple[float, float] | None = None
    site: str = ""

    def beside(self, table: Path) -> Path:
        """Return the recording's path; raises `UserError` where there is none."""
        # Tables travel: of a path from another machine the name is looked for beside the table.
        name = PureWindowsPath(self.file).name if "\\" in self.file else Path(self.file).name
        for path in (Path(self.file), table.parent / self.file, table.parent / name):
            if self.file and os.path.isfile(path):  # False for a name too long for the file system
                return path.resolve()
        raise fault_in(table, self.line, f"there is no recording {shown(self.file)}")


def is_selection_table(path: Path) -> bool:
    """Return whether a file is such a table, by its first line."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        _, columns = next(table_lines(path, quotes=False), (1, []))
    except UserError:
        return False
    return set(RAVEN) <= set(columns) or set(PLAIN) <= set(columns)


def read_selections(table: Path, *, unknown: bool = False) -> Iterator[Selection]:
    """Yield what a table marks, each once; raises `UserError`, which names file and line.

    With `unknown`, what a person has called so is among it.
    """
    seen = set()  # Raven has a line for each view of a selection
    # Raven's tables know neither quotes nor escapes.
    for line, row in read_rows(table, quotes=False):
        selection = _selection(table, line, row)
        key = (selection.file, selection.start_s, selection.end_s, selection.name)
        passed_over = selection.name.casefold() == UNKNOWN and not (unknown and _is_named(row))
        if not passed_over and key not in seen:
            seen.add(key)
            yield selection


def _is_named(row: Mapping[str, str]) -> bool:
    return BEGIN in row or bool(row.get("label"))


def _selection(table: Path, line: int, row: Mapping[str, str]) -> Selection:
    plain = BEGIN not in row
    begin, end = (number_in(table, line, row, name) for name in (PLAIN[1:3] if plain else RAVEN))
    start = number_in(table, line, row, OFFSET) if row.get(OFFSET) else begin
    if start < 0 or end <= begin:
        raise fault_in(table, line, f"{begin:g} to {end:g} s is no stretch of a recording")
    # A rejected sound of `edge replay --format csv` has no label.
    names = (row.get("label") or UNKNOWN,) if plain else (row.get(name, "") for name in LABELS)
    return Selection(
        file=next(filter(None, (row.get(name, "") for name in FILES)), ""),
        start_s=start,
        end_s=start + end - begin,
        name=next(filter(None, names), ""),
        common_name=row.get("common_name", "") or row.get("Common Name", ""),
        scientific_name=row.get("scientific_name", ""),
        line=line,
        band_hz=_band(table, line, row),
        site=row.get("Site", "") or row.get("site", ""),
    )


def _band(table: Path, line: int, row: Mapping[str, str]) -> tuple[float, float] | None:
    if not (row.get(LOW) and row.get(HIGH)):
        return None
    low, high = (number_in(table, line, row, name) for name in (LOW, HIGH))
    if low == high == 0:  # of a program that knows of no band
        return None
    if not 0 <= low < high:
        raise fault_in(table, line, f"{low:g} to {high:g} Hz is no band")
    return low, high
