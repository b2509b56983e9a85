"""Names that a terminal cannot write: never a traceback, and files are UTF-8 all the same."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import Bundle, Label
from edge.replay.formats import FORMATS
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import LABELS, tiny_bundle

ROOT = Path(__file__).resolve().parents[3]
STRANGE = "fr\udcf8g 🐸 жаба\t\x1b[31m.wav"
UTF8 = {"LC_ALL": "C.UTF-8"}
LATIN1 = {"PYTHONIOENCODING": "latin-1"}
ASCII = {"PYTHONIOENCODING": "ascii:strict"}
# Without the two, Python would take UTF-8 for the C locale.
C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recording that can be replayed and one that cannot, both oddly named."""
    write_audio(tmp_path / "new.wav", soundscape())
    os.rename(tmp_path / "new.wav", tmp_path / STRANGE)
    (tmp_path / f"bad {STRANGE}").write_text("not audio")
    return tmp_path


def environment(poor: dict[str, str]) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LC_", "LANG", "PYTHON"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), **poor}


def command(bundle: Bundle, *args: str) -> list[str]:
    return [sys.executable, "-m", "edge.cli", "replay", "--bundle", str(bundle.path), *args]


@pytest.mark.parametrize(
    ("form", "poor"),
    [
        *((form, LATIN1) for form in FORMATS),
        *((form, poor) for form in ("table", "csv") for poor in (ASCII, C)),
    ],
)
def test_no_format_is_a_traceback(
    bundle: Bundle, folder: Path, form: str, poor: dict[str, str]
) -> None:
    files = [STRANGE, f"bad {STRANGE}"]
    done = subprocess.run(
        command(bundle, "--format", form, *files),
        cwd=folder,
        env=environment(poor),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    complaint, remark = sorted(done.stderr.splitlines())
    assert complaint.startswith(rb"error: bad fr\xf8g ")
    assert remark.startswith(rb"warning: fr\xf8g ")
    assert b"\x1b" not in done.stderr
    assert b".wav" in done.stdout
    assert form in ("csv", "recordings", "kaleidoscope") or b"\x1b" not in done.stdout


@pytest.mark.parametrize("form", ["table", "csv", "raven", "windows"])
def test_files_are_utf8_whatever_the_terminal_is(bundle: Bundle, folder: Path, form: str) -> None:
    def written(poor: dict[str, str]) -> bytes:
        out = folder / "out.txt"
        arguments = command(bundle, "--format", form, "--out", str(out), STRANGE)
        done = subprocess.run(
            arguments, cwd=folder, env=environment(poor), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    text = written(UTF8).decode("utf-8")
    assert text.encode() == written(LATIN1)
    assert "🐸 жаба" in text or (form == "windows" and text.isascii())
    # Where the locale cannot read a name, its bytes are all that there is of it.
    assert form == "windows" or rb"\xf0\x9f\x90\xb8" in written(C)


@pytest.mark.parametrize("poor", [UTF8, LATIN1, C])
def test_a_terminal_with_a_progress_bar(bundle: Bundle, folder: Path, poor: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(bundle, STRANGE, f"bad {STRANGE}"),
        cwd=folder,
        env={**environment(poor), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 1
    assert b"Traceback" not in shown
    assert b"2 files" in shown or b"0/2" in shown  # the bar
    assert rb"warning: fr\xf8g" in shown
    assert rb"error: bad fr\xf8g" in shown
    assert b"\x1b[31m.wav" not in shown  # the name colours nothing
    assert b"Low Hummer" in shown


def test_other_commands_spell_names_out_too(tmp_path: Path) -> None:
    labels = (Label(label="low_hummer", common_name="Жужжало 🐝"), *LABELS[1:])
    there = tiny_bundle(tmp_path / "b", labels=labels)
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "info", "--bundle", str(there.path)],
        env=environment(LATIN1),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\U0001f41d" in done.stdout
