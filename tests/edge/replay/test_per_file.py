"""One output for each recording, which never replaces what nobody has offered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.errors import ConfigError
from edge.replay.formats import FORMATS, Format
from edge.replay.owners import OutputRecord
from edge.replay.per_file import SUFFIXES, Places, check_places
from tests.support.audio import soundscape, write_audio

Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Bundle) -> Run:
    return lambda *args: CliRunner().invoke(
        main, ["replay", "--bundle", str(bundle.path), "--per-file", *map(str, args)]
    )


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Two folders of a recorder, with the same names in both."""
    first = tmp_path / "card" / "a" / "dawn.wav"
    first.parent.mkdir(parents=True)
    write_audio(first, soundscape())
    shutil.copytree(first.parent, tmp_path / "card" / "b")
    write_audio(tmp_path / "card" / "b" / "silent.wav", np.zeros(8000, np.float32))
    return tmp_path / "card"


def files(folder: Path) -> list[str]:
    found = (f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
    return sorted(str(f.relative_to(folder)) for f in found)


@pytest.mark.parametrize("form", FORMATS)
def test_each_recording_has_what_it_would_have_alone(
    run: Run, bundle: Bundle, card: Path, form: Format
) -> None:
    before = files(card)
    result = run(card, "--format", form)
    assert (result.exit_code, result.stdout) == (0, "")
    new = set(files(card)) - set(before)
    suffix = SUFFIXES[form]
    assert new == {f"a/dawn{suffix}", f"b/dawn{suffix}", f"b/silent{suffix}"}
    for name in before:
        recording = card / name
        command = ["replay", "--bundle", str(bundle.path), "--format", form, str(recording)]
        alone = CliRunner().invoke(main, command).stdout
        assert recording.with_suffix(suffix).read_text(encoding="utf-8") == alone


def test_below_out_it_is_as_below_the_folder_that_was_given(
    run: Run, card: Path, tmp_path: Path
) -> None:
    before, out = files(card), tmp_path / "new" / "out"
    assert run(card, "--format", "csv", "--out", out, "--workers", "2").exit_code == 0
    assert files(card) == before
    assert files(out) == ["a/dawn.csv", "b/dawn.csv", "b/silent.csv"]


def test_what_is_there_is_replaced_only_when_told(run: Run, card: Path) -> None:
    mine = card / "b" / "dawn.csv"
    mine.write_text("my own table\n")
    before = files(card)
    refused = run(card, "--format", "csv")
    assert (refused.exit_code, refused.stdout, files(card)) == (2, "", before)
    assert (
        refused.stderr == f"error: {mine}: is there already; --overwrite replaces what is there\n"
    )
    assert mine.read_text() == "my own table\n"
    assert run(card, "--format", "csv", "--overwrite").exit_code == 0
    assert mine.read_text().startswith("file,")
    again = run(card, "--format", "csv")
    assert "a/dawn.csv: is there already, and 2 more are; --over" in again.stderr


def test_resumed_it_writes_what_is_missing_and_nothing_else(run: Run, card: Path) -> None:
    mine = card / "b" / "dawn.csv"
    mine.write_text("my own table\n")
    resumed = run(card, "--format", "csv", "--resume")
    assert (resumed.exit_code, resumed.stdout) == (0, "")
    assert resumed.stderr.startswith("1 of 3 are there already\n")
    assert mine.read_text() == "my own table\n"
    assert (card / "a" / "dawn.csv").read_text().startswith("file,")
    again = run(card, "--format", "csv", "--resume")
    assert (again.exit_code, again.stderr) == (0, "3 of 3 are there already\n")
    refused = run(card, "--format", "csv", "--resume", "--overwrite")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_a_link_to_nowhere_is_there_too(run: Run, card: Path, tmp_path: Path) -> None:
    (card / "a" / "dawn.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert "is there already" in run(card, "--format", "csv").stderr
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_link_to_a_recording_is_not_overwritten(run: Run, card: Path) -> None:
    recording = card / "b" / "dawn.wav"
    before = recording.read_bytes()
    (card / "a" / "dawn.csv").symlink_to(recording)
    result = run(card, "--format", "csv", "--overwrite")
    assert result.exit_code == 2
    assert "is one of the recordings" in result.stderr
    assert recording.read_bytes() == before


def test_recordings_that_differ_in_their_suffix_keep_it(run: Run, tmp_path: Path) -> None:
    for name in ("dawn.wav", "dawn.flac", "dusk.wav"):
        write_audio(tmp_path / name, soundscape())
    assert run(tmp_path, "--format", "csv").exit_code == 0
    tables = [name for name in files(tmp_path) if name.endswith(".csv")]
    assert tables == ["dawn.flac.csv", "dawn.wav.csv", "dusk.csv"]


def test_recordings_that_differ_in_case_only_are_one_where_case_does_not_count() -> None:
    places = Places(["Dawn.wav", "dawn.flac"], given=[], form="csv", folder=None).of
    assert list(places.values()) == ["Dawn.wav.csv", "dawn.flac.csv"]
    with pytest.raises(ConfigError, match=r"Dawn.wav and dawn.WAV would both be written to"):
        Places(["Dawn.wav", "dawn.WAV"], given=[], form="csv", folder=None)


def test_two_of_the_same_name_for_one_folder_are_refused(
    run: Run, card: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    one, other = card / "a" / "dawn.wav", card / "b" / "dawn.wav"
    result = run(one, other, "--format", "csv", "--out", out)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: --per-file: {one} and {other} would both be written to {out}/dawn.wav.csv (give "
        "the folder above them, or leave out --out)\n"
    )
    assert not out.exists()


def test_the_same_recording_twice_has_one_output(run: Run, card: Path) -> None:
    recording = card / "a" / "dawn.wav"
    assert run(recording, recording, "--format", "csv").exit_code == 0


def test_a_recording_that_cannot_be_read_has_no_output(run: Run, card: Path) -> None:
    (card / "a" / "bad.wav").write_text("not audio")
    result = run(card, "--format", "csv")
    assert result.exit_code == 1
    assert [name for name in files(card) if name.endswith(".csv")] == [
        "a/dawn.csv",
        "b/dawn.csv",
        "b/silent.csv",
    ]


def test_a_folder_that_is_none_is_refused_before_anything_is_replayed(
    run: Run, card: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = run(card, "--out", tmp_path / "file" / "below")
    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path}/file: is not a folder\n")


def test_a_folder_in_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dawn.csv").mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        check_places({"dawn.wav": str(tmp_path / "dawn.csv")}, overwrite=True)


def test_standard_input_has_no_place() -> None:
    with pytest.raises(ConfigError, match="--per-file: has no place"):
        Places(["-"], given=["-"], form="csv", folder=None)


def test_every_format_has_a_suffix_of_its_own() -> None:
    assert set(SUFFIXES) == set(FORMATS)
    assert len(set(SUFFIXES.values())) == len(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("out", [True, False])
def test_what_is_there_of_another_recording_is_not_taken_for_this_ones(
    run: Run, tmp_path: Path, form: Format, out: bool
) -> None:
    """Wherever it is given, and with whatever else: a recording has one place."""
    recordings = tmp_path / "in"
    recordings.mkdir()
    options = ["--format", form, "--resume", *(["--out", str(tmp_path / "out")] if out else [])]
    where, suffix = tmp_path / ("out" if out else "in"), SUFFIXES[form]
    write_audio(recordings / "a.wav", soundscape())
    assert run(recordings, *options).exit_code == 0
    first = {name for name in files(where) if name.endswith(suffix)}
    assert first == {f"a{suffix}"}
    write_audio(recordings / "a.flac", soundscape())
    assert run(recordings / "a.flac", *options).exit_code == 0
    assert run(recordings, *options).exit_code == 0
    names = {name for name in files(where) if name.endswith(suffix)}
    nameless = not out and form in ("table", "audacity")  # whose results nobody can tell
    again = {f"a.wav{suffix}"} if nameless else set()
    assert names == {f"a{suffix}", f"a.flac{suffix}"} | again
    done = run(recordings, *options)
    assert (done.exit_code, done.stderr) == (0, "2 of 2 are there already\n")


@pytest.mark.parametrize("form", ["csv", "audacity"])
def test_a_recording_of_the_same_name_elsewhere_is_not_done(
    run: Run, card: Path, tmp_path: Path, form: Format
) -> None:
    options = ("--format", form, "--out", tmp_path / "out", "--resume")
    assert run(card / "a", *options).exit_code == 0
    refused = run(card / "b", *options)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    place = tmp_path / "out" / f"dawn{SUFFIXES[form]}"
    assert f"{place}: is there already, of another recording ({card}/a/dawn.wav)" in refused.stderr
    again = run(card / "a", *options)
    assert again.stderr == "1 of 1 are there already\n"


def test_what_an_earlier_version_has_written_is_known_again(
    run: Run, card: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = (card / "a", card / "b" / "silent.wav", "--format", "csv", "--out", out)
    assert run(*given).exit_code == 0
    (out / ".recordings.jsonl").unlink()
    resumed = run(*given, "--resume")
    assert resumed.stderr == "2 of 2 are there already\n"
    (out / ".recordings.jsonl").unlink()
    below = run(card, "--format", "csv", "--out", out, "--resume")
    assert below.stderr.startswith("1 of 3 are there already\n")
    assert files(out) == ["b/dawn.csv", "b/silent.csv", "dawn.csv", "silent.csv"]


def test_a_record_that_is_cut_off_or_leads_elsewhere_is_gone_on_with(tmp_path: Path) -> None:
    record = tmp_path / ".recordings.jsonl"
    elsewhere = {"output": "../x.csv", "format": "csv", "recording": "/card/x.wav"}
    record.write_text(json.dumps(elsewhere) + '\n{"output": "a.cs')
    own = OutputRecord(str(tmp_path), "csv")
    assert own.is_empty
    own.add("/card/a.wav", str(tmp_path / "a.csv"))
    again = OutputRecord(str(tmp_path), "csv")
    assert again.place("/card/../card/a.wav") == str(tmp_path / "a.csv")
    assert again.recording(str(tmp_path / "a.csv")) == "/card/a.wav"
    assert OutputRecord(str(tmp_path), "raven").is_empty
