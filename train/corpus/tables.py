"""Small tables that people write or mend by hand.

Every fault is one line with the file, the line and the column.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UserError

__all__ = ["Row", "read_table"]


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
