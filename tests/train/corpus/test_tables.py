"""Every table that people hand in is read alike, whatever part of the world wrote it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.errors import UserError
from train.corpus.answer_rows import answer_rows
from train.corpus.selections import is_selection_table, read_selections
from train.corpus.tables import read_rows, read_table

HEADER = ("file", "start_s", "end_s", "label")
CELLS = ("a b.wav", "1.5", "2.5", "Grünling")
Reader = Callable[[Path], list[tuple[str, ...]]]


def by_table(table: Path) -> list[tuple[str, ...]]:
    return [tuple(row.cells[name] for name in HEADER) for row in read_table(table, HEADER)]


def by_rows(table: Path) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in HEADER) for _, row in read_rows(table, HEADER)]


def by_selections(table: Path) -> list[tuple[str, ...]]:
    assert is_selection_table(table)
    found = read_selections(table)
    return [(s.file, f"{s.start_s:g}", f"{s.end_s:g}", s.name) for s in found]


READERS = {"table": by_table, "rows": by_rows, "selections": by_selections}
FORMS = tuple(itertools.product(",;\t", ("\n", "\r\n"), ("utf-8", "utf-8-sig"), (False, True)))


def written(
    table: Path, lines: Sequence[tuple[str, ...]], separator: str = ",", end: str = "\n"
) -> Path:
    table.write_bytes("".join(separator.join(line) + end for line in lines).encode())
    return table


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("separator", "end", "encoding", "blanks"), FORMS)
def test_separators_ends_of_lines_marks_and_blanks_mean_nothing(
    tmp_path: Path, reader: str, separator: str, end: str, encoding: str, blanks: bool
) -> None:
    gap, pad = (end * 2, " ") if blanks else ("", "")
    lines = [separator.join(f"{pad}{cell}{pad}" for cell in line) for line in (HEADER, CELLS)]
    (tmp_path / "t.csv").write_bytes((end.join([lines[0], gap + lines[1]]) + end).encode(encoding))
    assert READERS[reader](tmp_path / "t.csv") == [CELLS]


@pytest.mark.parametrize("separator", ",;\t")
def test_answers_are_read_with_every_separator(tmp_path: Path, separator: str) -> None:
    lines = [("Path", "label", "Answer"), ("a.wav", "wren", "it is Great Tit")]
    table = written(tmp_path / "t.csv", lines, separator)
    (row,) = answer_rows(table, ("path", "label"))
    assert (row.cells["path"], row.answer, row.said) == ("a.wav", "Great Tit", True)


@pytest.mark.parametrize("separator", ",;")
def test_a_quoted_cell_may_have_what_parts_the_others(tmp_path: Path, separator: str) -> None:
    quoted = ("a.wav", "1", "2", '"a, b; c"')
    table = written(tmp_path / "t.csv", [HEADER, quoted], separator)
    assert by_rows(table) == by_table(table) == [(*quoted[:3], "a, b; c")]


def test_a_quote_in_a_table_of_raven_is_a_character(tmp_path: Path) -> None:
    header = ("Begin Time (s)", "End Time (s)", "Annotation")
    table = written(tmp_path / "t.txt", [header, ("1", "2", '"song'), ("3", "4", "call")], "\t")
    assert [s.name for s in read_selections(table)] == ['"song', "call"]


def test_a_shifted_line_is_not_read_as_if_it_stood_right(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", [HEADER, ("a", "b.wav", "1", "2", "wren")])
    for reader in READERS.values():
        with pytest.raises(UserError, match=r"t\.csv, line 2"):
            reader(table)


def test_a_column_that_is_there_twice_is_not_guessed(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", [(*HEADER, "label"), (*CELLS, "wren")])
    for reader in (by_table, by_rows):
        with pytest.raises(UserError, match="'label' is there twice"):
            reader(table)


@pytest.mark.parametrize("content", [b"", b"\n", b"\0\0\0", b"\xff\xfe\x00row", b"x" * 300_000])
def test_what_is_no_table_is_one_line_or_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert not is_selection_table(tmp_path / "t.csv")
    for reader in (by_table, by_rows):
        with pytest.raises(UserError, match=r"t\.csv"):
            reader(tmp_path / "t.csv")
