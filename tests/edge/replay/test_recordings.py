"""What a person means by a folder, a pipe, and files that follow each other."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.errors import AudioError
from edge.replay.recordings import Recording, find_recordings
from edge.replay.replay import outcome_in_worker, replay
from edge.replay.replayer import Outcome, Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import noise, soundscape, write_audio
from tests.support.containers import encoded, with_data_size

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Bundle) -> Run:
    return lambda *args: CliRunner().invoke(main, ["replay", "--bundle", str(bundle.path), *args])


def names(folder: Path) -> list[str]:
    found = find_recordings([str(folder)]).recordings
    return [os.path.relpath(r.file, folder) for r in found if isinstance(r, Recording)]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Return a card as it comes out of a recorder that has been through a few computers."""
    card = tmp_path / "card"
    for folder in (".Trash-1000/files", ".Trashes/501", "$RECYCLE.BIN/S-1-5", "a", "FOUND.000"):
        (card / folder).mkdir(parents=True)
        write_audio(card / folder / "x.wav", noise(0.1))
    write_audio(card / "b.wav", noise(0.1))
    write_audio(card / ".hidden.wav", noise(0.1))
    (card / "._b.wav").write_bytes(b"\0\5\x16\7" + bytes(100))
    (card / "CONFIG.TXT").write_text("Sample rate: 48000")
    return card


def test_deleted_and_hidden_recordings_are_not_heard_and_counted(card: Path) -> None:
    assert names(card) == ["a/x.wav", "b.wav"]
    assert list(find_recordings([str(card)]).notes()) == [
        "not heard: 4 recordings in hidden folders and those of deleted files",
        "not heard: 1 hidden files",
    ]


def test_a_recording_is_heard_once_whatever_leads_to_it(card: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_audio(elsewhere / "far.wav", noise(0.1))
    (card / "0_link.wav").symlink_to(card / "b.wav")
    os.link(card / "b.wav", card / "z_hard.wav")
    (card / "0_folder").symlink_to(card / "a")
    (card / "linked").symlink_to(elsewhere)
    (card / "a" / "round").symlink_to(card)
    assert names(card) == ["a/x.wav", "b.wav", "linked/far.wav"]
    further = find_recordings([str(card)]).left_out["further names of recordings, as links are"]
    assert further == 2


def test_what_was_given_itself_is_not_heard_again_in_its_folder(card: Path) -> None:
    given = [str(card / "b.wav"), str(card)]
    found = find_recordings(given)
    assert [os.path.basename(file) for file in found.files] == ["b.wav", "x.wav"]
    assert "not heard: 1 recordings that were given already" in list(found.notes())


def test_a_link_that_leads_nowhere_is_a_fault(card: Path, run: Run) -> None:
    (card / "gone.wav").symlink_to(card / "was.wav")
    result = run(str(card), "--format", "jsonl")
    assert result.exit_code == 1
    assert "gone.wav: no such file or directory" in result.stderr


def test_recordings_that_cannot_be_read_are_counted_and_a_fault(card: Path) -> None:
    for name in ("memo.m4a", "memo2.M4A", "old.wac"):
        (card / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    found = find_recordings([str(card)], with_av=False).recordings
    (fault,) = [recording for recording in found if isinstance(recording, AudioError)]
    assert str(fault).startswith(
        f"{card}: not heard, because their formats cannot be read: 2 .m4a, 1 .wac"
    )


def piped(bundle: Bundle, content: bytes, *args: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge.cli", "replay", "--bundle", str(bundle.path)]
    return subprocess.run(
        [*command, "--format", "jsonl", *args, "-"],
        input=content,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_pipe_is_heard_as_a_file_is(
    bundle: Bundle, run: Run, tmp_path: Path, container: str
) -> None:
    content = encoded(container, soundscape(8000), rate_hz=8000)
    if container == "WAV":
        content = with_data_size(content, "WAV", 0xFFFFFFFF)  # as a program writes into a pipe
    file = tmp_path / "-"
    file.write_bytes(content)
    by_pipe = piped(bundle, content)
    by_file = run(str(file), "--format", "jsonl")
    assert by_pipe.returncode == by_file.exit_code == 0
    heard = [json.loads(line) for line in by_pipe.stdout.splitlines()]
    expected = [json.loads(line) for line in by_file.stdout.splitlines()]
    assert len(heard) > 3
    assert {d["source"] for d in heard} == {"-"}
    for one, other in zip(heard, expected, strict=True):
        assert (one["id"], one["score"]) == (other["id"], other["score"])


def test_a_bad_pipe_is_one_line_that_names_no_file_of_ours(bundle: Bundle) -> None:
    for content in (b"", b"Dear diary, " * 100):
        done = piped(bundle, content)
        (line,) = done.stderr.decode().splitlines()
        assert done.returncode == 1
        assert line.startswith("error: -: ")


def starts(result: Result) -> list[tuple[str, str]]:
    rows = csv.DictReader(io.StringIO(result.stdout))
    return [(Path(row["file"]).name, row["start_utc"]) for row in rows]


START = ("--format", "recordings", "--start", "2024-05-01T05:30:00Z")


def test_one_start_for_several_recordings_is_refused(card: Path, run: Run) -> None:
    result = run(str(card), *START)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(
        "error: --start: is the start of one recording, and 2 were given (--consecutive takes each "
        "to begin where the one before it ends)\n"
    )


def test_consecutive_recordings_begin_where_the_one_before_ends(tmp_path: Path, run: Run) -> None:
    for name, seconds in (("a.wav", 1.5), ("b.flac", 2.25), ("c.mp3", 3.0)):
        write_audio(tmp_path / name, noise(seconds, 16_000), 16_000)
    assert starts(run(str(tmp_path), *START, "--consecutive")) == [
        ("a.wav", "2024-05-01T05:30:00.000000Z"),
        ("b.flac", "2024-05-01T05:30:01.500000Z"),
        ("c.mp3", "2024-05-01T05:30:03.750000Z"),
    ]


def test_after_a_recording_of_unknown_length_none_is_dated(tmp_path: Path, run: Run) -> None:
    for name in ("a.wav", "c.wav"):
        write_audio(tmp_path / name, noise(1.5))
    (tmp_path / "b.wav").write_bytes(b"")
    result = run(str(tmp_path), *START, "--consecutive")
    assert result.exit_code == 1
    assert [name for name, _ in starts(result)] == ["a.wav"]
    assert "c.wav: its start cannot be told" in result.stderr


class Faulty(Replayer):
    """Has a fault of its own for every recording with a certain name."""

    def replay(self, file: str, **kwargs: Any) -> Any:
        if file.endswith("odd.wav"):
            raise OverflowError("date value out of range")
        return super().replay(file, **kwargs)


def test_a_fault_of_this_program_costs_one_recording_and_is_logged(
    bundle: Bundle, card: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_audio(card / "odd.wav", noise(0.1))
    replayer = Faulty(ReplaySettings(bundle=bundle.path))
    outcomes = list(replay(replayer, find_recordings([str(card)]).recordings))
    assert [isinstance(outcome, AudioError) for outcome in outcomes] == [False, False, True]
    assert str(outcomes[2]).endswith(
        "odd.wav: OverflowError: date value out of range (a fault of this program)"
    )
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize("in_order", [True, False])
def test_a_recording_that_kills_its_process_costs_no_other(
    bundle: Bundle, card: Path, in_order: bool
) -> None:
    for i in range(4):
        write_audio(card / f"c{i}.wav", noise(0.1, seed=i))
    write_audio(card / "c2_deadly.wav", noise(0.1))
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    recordings = find_recordings([str(card)]).recordings
    given: dict[str, Any] = {"workers": 2, "work": dies_of_a_name, "in_order": in_order}
    outcomes = list(replay(replayer, recordings, **given))
    faults = [outcome for outcome in outcomes if isinstance(outcome, AudioError)]
    assert len(outcomes) == 7
    assert [str(fault).partition(":")[0] for fault in faults] == [str(card / "c2_deadly.wav")]


def dies_of_a_name(recording: Recording, spool: Path | None) -> Outcome:
    if recording.name.endswith("deadly.wav"):
        os._exit(139)
    return outcome_in_worker(recording, spool)


def test_out_of_order_a_long_recording_holds_back_no_other(bundle: Bundle, card: Path) -> None:
    """In order, the first would be waited for, which itself waits for the second to be taken."""
    for name in ("a0_waits.wav", "a1.wav"):
        write_audio(card / name, noise(0.1))
    recordings = find_recordings([str(card)]).recordings
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    names = []
    for outcome in replay(replayer, recordings, workers=2, work=waits_its_turn, in_order=False):
        assert not isinstance(outcome, AudioError)
        names.append(Path(outcome.file).name)
        (card / "taken").touch()
    assert names[0] != "a0_waits.wav"
    assert sorted(names) == sorted(Path(found.file).name for found in recordings_of(recordings))


def recordings_of(found: Sequence[Recording | AudioError]) -> list[Recording]:
    return [one for one in found if isinstance(one, Recording)]


def waits_its_turn(recording: Recording, spool: Path | None) -> Outcome:
    """Hear one only once another was taken, or after some seconds."""
    taken, tries = Path(recording.file).with_name("taken"), 0
    while recording.name.endswith("waits.wav") and not taken.exists() and tries < 200:
        time.sleep(0.05)
        tries += 1
    return outcome_in_worker(recording, spool)
