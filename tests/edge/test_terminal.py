"""What a terminal cannot show is spelled out, and never a traceback."""

from __future__ import annotations

import io
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge.files import write_whole
from edge.terminal import SPELLED_OUT, OneLineErrors, printable, spell_out


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("frög 🐸 – \u05d0.wav", "frög 🐸 – \u05d0.wav"),
        (os.fsdecode(b"fr\xf8g.wav"), r"fr\xf8g.wav"),
        ("a\tb\nc\rd", r"a\tb\nc\rd"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u2028line", r"\u2028line"),
        ("\u202evaw.exe", r"\u202evaw.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_moves_the_cursor_or_is_no_character_is_spelled_out(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "ö🐸\\xff".encode()),
        ("latin-1", b"\xf6\\U0001f438\\xff"),
        ("ascii", b"\\xf6\\U0001f438\\xff"),
    ],
)
def test_what_an_encoding_cannot_write_is_spelled_out(encoding: str, written: bytes) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    spell_out(stream)
    stream.write(os.fsdecode("ö🐸".encode() + b"\xff"))
    stream.flush()
    assert raw.getvalue() == written


def test_bytes_that_are_not_text_are_still_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", errors=SPELLED_OUT)


def test_a_file_that_cannot_be_replaced_is_named_and_not_the_one_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "lists.csv"
    folder.mkdir()
    group = OneLineErrors()
    group.add_command(click.Command("write", callback=lambda: write_whole(folder, "a")))
    result = CliRunner().invoke(group, ["write"])
    assert result.exit_code == 1
    assert result.output == f"error: {folder}: Is a directory\n"
