"""Tables that people write or mend by hand, or that other programs give out.

Every fault is one line with the file and, where it is one line's, that and the column.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UserError, shown

__all__ = ["Row", "fault_in", "number_in", "read_rows", "read_table"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: `cells` by column, without the blanks around them."""

    table: Path
    line: int
    cells: dict[str, str]

    def fault(self, column: str, what: str) -> UserError:
        """Return the error to raise for a cell; `what` says what is wrong and what to do."""
        return UserError(f"{self.table}, line {self.line}, column {column}: {what}")


def read_table(table: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the lines of a CSV file that has exactly `columns`, in any order.

    Blank lines are passed over. Raises `UserError`.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            _check_header(table, header, columns)
            for cells in filter(None, reader):
                yield _row(table, reader.line_num, header, cells)
    except FileNotFoundError as exc:
        raise UserError(f"{table}: no such file") from exc
    except OSError as exc:
        raise UserError(f"{table}: cannot be read ({exc.strerror})") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise UserError(f"{table}: is not a UTF-8 CSV file ({exc}); save it as one") from exc


def _row(table: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    by_column = dict(zip(header, map(str.strip, cells), strict=False))
    row = Row(table=table, line=line, cells=by_column)
    if len(cells) != len(header):
        where = header[min(len(cells), len(header) - 1)]
        what = f"the line has {len(cells)} cells, the header {len(header)}"
        raise row.fault(where, f"{what}; quote a cell with commas")
    return row


def _check_header(table: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    for name in header:
        if name not in columns:
            meant = difflib.get_close_matches(name, columns, n=1)
            hint = (
                f"did you mean '{meant[0]}'?" if meant else f"the columns are {', '.join(columns)}"
            )
            raise UserError(f"{table}, line 1: unknown column {name!r}; {hint}")
    for name in columns:
        if header.count(name) != 1:
            what = "missing" if name not in header else "there twice"
            raise UserError(
                f"{table}, line 1: column '{name}' is {what}; the columns are {', '.join(columns)}"
            )


def read_rows(table: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the cells of a CSV file that has the columns `needed`, perhaps others too.

    The cells have no blanks around them. Raises `UserError`.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in needed if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ["nothing"])
                raise UserError(f"{table}: column '{missing[0]}' is missing (found: {found})")
            for row in reader:
                yield reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}
    except OSError as exc:
        raise UserError(f"{table}: cannot be read ({exc.strerror})") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise UserError(f"{table}: is not a UTF-8 CSV file ({exc})") from exc


def number_in(table: Path, line: int, row: Mapping[str, str], column: str) -> float:
    """Return the number in a row of a table; raises `UserError` where there is none."""
    try:
        number = float(row.get(column, ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise fault_in(table, line, f"column {column}: {shown(row.get(column, ''))} is no number")
    return number


def fault_in(table: Path, line: int, what: str) -> UserError:
    """Return the error to raise for a line of a table."""
    return UserError(f"{table}, line {line}: {what}", suggestion="correct or remove the line")
