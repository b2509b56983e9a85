"""Tables that people write or mend by hand, or that other programs give out.

Every fault is one line with the file and, where it is one line's, that and the column.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge.errors import UserError, shown

__all__ = ["Row", "fault_in", "number_in", "read_rows", "read_table", "table_lines"]

LONGEST_HEADER = 10_000


class _Unquoted(csv.excel):
    quoting = csv.QUOTE_NONE


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: `cells` by column, without the blanks around them."""

    table: Path
    line: int
    cells: dict[str, str]

    def fault(self, column: str, what: str) -> UserError:
        """Return the error to raise for a cell; `what` says what is wrong and what to do."""
        return UserError(f"{self.table}, line {self.line}, column {column}: {what}")


def table_lines(
    table: Path, *, text: str | None = None, quotes: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line that is not blank, the header's first.

    Commas, semicolons or tabs part the cells, whichever the header has most of, as the programs and
    countries differ that tables come from. The cells have no blanks around them. Without `quotes`
    they mean nothing where tabs part the cells. `text` is what the table has, None: it is read.
    Raises `UserError`.
    """
    try:
        with _opened(table, text) as file:
            header = file.readline(LONGEST_HEADER)
            separator = max("\t;,", key=header.count)
            file.seek(0)
            dialect: type[csv.Dialect] = csv.excel if quotes or separator != "\t" else _Unquoted
            reader = csv.reader(file, dialect, delimiter=separator)
            for cells in filter(None, reader):
                yield reader.line_num, [cell.strip() for cell in cells]
    except FileNotFoundError as exc:
        raise UserError(f"{table}: no such file") from exc
    except OSError as exc:
        raise UserError(f"{table}: cannot be read ({exc.strerror})") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise UserError(f"{table}: is not a UTF-8 table ({exc}); save it as one") from exc


def _opened(table: Path, text: str | None) -> TextIO:
    if text is not None:
        return io.StringIO(text, newline="")
    return table.open(encoding="utf-8-sig", newline="")


def read_table(table: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the lines of a table that has exactly `columns`, in any order.

    Blank lines are passed over. Raises `UserError`.
    """
    lines = table_lines(table)
    _, header = next(lines, (1, []))
    _check_header(table, header, columns)
    for line, cells in lines:
        yield _row(table, line, header, cells)


def _row(table: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    row = Row(table=table, line=line, cells=dict(zip(header, cells, strict=False)))
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


def read_rows(
    table: Path, needed: Sequence[str] = (), *, text: str | None = None, quotes: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the cells of a table that has the columns `needed`, perhaps others too.

    A line may end early, and then has empty cells. `text` and `quotes` are those of `table_lines`.
    Raises `UserError`.
    """
    lines = table_lines(table, text=text, quotes=quotes)
    _, header = next(lines, (1, []))
    for name in needed:
        if header.count(name) != 1:
            what = "missing" if name not in header else "there twice"
            found = ", ".join(header) or "nothing"
            raise UserError(f"{table}: column '{name}' is {what} (found: {found})")
    for line, cells in lines:
        if any(cells[len(header) :]):
            raise fault_in(table, line, "has more cells than the header")
        row = dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
        row.pop("", None)
        yield line, row


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
