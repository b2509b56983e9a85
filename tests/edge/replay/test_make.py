"""`make replay` takes a recording of any name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

RECORDER_OF_ARGUMENTS = """\
#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv[2:]))
"""


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """The Makefile, with a program that prints what it is given in the place of `edge`."""
    shutil.copy(root / "Makefile", tmp_path)
    for name, text in ((".ci/setup.sh", "#!/bin/sh\n"), (".venv/bin/edge", RECORDER_OF_ARGUMENTS)):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    return tmp_path


def given(checkout: Path, *args: str, **environment: str) -> list[str]:
    done = subprocess.run(
        ["make", "--no-print-directory", "replay", *args],
        cwd=checkout,
        env={**os.environ, "MAKEFLAGS": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    arguments: list[str] = json.loads(done.stdout)
    return arguments


@pytest.mark.parametrize(
    "name",
    [
        *("dawn.wav", "Tom's toad.wav", 'quote"d.wav', "two  blanks.wav", "a$HOME.wav", "$(PATH)"),
        *("$$.wav", "`id`.wav", "a;b|c&d>e.wav", "-dash.wav", "--help", "back\\slash.wav"),
        *("#hash.wav", "100%.wav", "a:b=c.wav", "*.wav", "~.wav", "$(shell touch spoilt).wav"),
        *("${FILE}", "line\nbreak.wav", "fr\udcf8g.wav", "жаба 🐸.wav", "@sum.wav", "!x.wav"),
    ],
)
def test_any_name_arrives_as_it_is(checkout: Path, name: str) -> None:
    assert given(checkout, f"FILE={name}") == ["--", name]
    assert given(checkout, FILE=name) == ["--", name]
    assert not (checkout / "spoilt").exists()


def test_options_are_shell_text(checkout: Path) -> None:
    arguments = given(checkout, "FILE=it's.wav", "ARGS=--format csv --out 'a b.csv'")
    assert arguments == ["--format", "csv", "--out", "a b.csv", "--", "it's.wav"]


def test_without_a_file_it_is_the_demonstration(checkout: Path) -> None:
    (checkout / "edge").mkdir()
    (checkout / "edge" / "demo.py").touch()
    (checkout / "build").mkdir()
    (checkout / "build" / "demo.wav").touch()  # newer than the program that makes it
    assert given(checkout) == ["--", "build/demo.wav"]
    assert given(checkout, "FILE=") == ["--", "build/demo.wav"]
