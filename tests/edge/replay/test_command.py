"""`edge replay` as a person runs it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.config.sections import ModelConfig
from edge.detect.engines import BackendChoice
from edge.replay.formats import FORMATS
from edge.replay.formats.base import ReplayResult
from edge.replay.options import BACKENDS
from edge.replay.recordings import find_recordings
from edge.replay.replay import replay as replay_all
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import noise, soundscape, write_audio
from tests.support.bundles import choir_bundle, tiny_bundle, tone

Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Bundle) -> Run:
    return lambda *args: CliRunner().invoke(main, ["replay", "--bundle", str(bundle.path), *args])


@pytest.fixture
def site(tmp_path: Path) -> str:
    """A folder as it comes from a field trip."""
    folder = tmp_path / "site"
    for i, name in enumerate(
        ("b/20240501_060000.wav", "b/20240501_053000.flac", "a.ogg", "b.wav", "c/d/e.WAV")
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(
            folder / name, np.concatenate([tone(300 + 1350 * (i % 3), 2.5), noise(1.5, seed=i)])
        )
    (folder / "notes.txt").write_text("frogs heard")
    (folder / "b" / "._20240501_060000.wav").write_bytes(b"\0\5\x16\7")
    return str(folder)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_backends_of_the_command_line_are_those_of_the_configuration() -> None:
    assert (
        BACKENDS
        == get_args(BackendChoice)
        == get_args(ModelConfig.model_fields["backend"].annotation)
    )


def test_the_cpu_may_be_chosen(run: Run, recording: str, tmp_path: Path) -> None:
    chosen = run(recording, "--backend", "cpu", "--engines", str(tmp_path), "--format", "csv")
    assert (chosen.exit_code, chosen.stdout) == (0, run(recording, "--format", "csv").stdout)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_the_same_twice(run: Run, site: str, form: str) -> None:
    first, second = run(site, "--format", form), run(site, "--format", form)
    assert first.exit_code == second.exit_code == 0
    assert first.stderr == ""
    assert first.stdout == second.stdout != ""


def test_windows_have_a_line_each_with_the_path_as_it_was_given(run: Run, recording: str) -> None:
    found = lines(run(recording, "--format", "windows", "--hop-s", "0.5").stdout)
    assert [w["start_s"] for w in found] == [*np.arange(0, 18.5, 0.5), 18.3]
    assert found[-1]["end_s"] == 19.3
    assert {w["file"] for w in found} == {recording}


def test_a_short_recording_has_one_window_that_ends_where_it_ends(run: Run, tmp_path: Path) -> None:
    (window,) = lines(
        run(write_audio(tmp_path / "a.wav", tone(1000, 0.25)), "--format", "windows").stdout
    )
    assert (window["start_s"], window["end_s"], window["label"]) == (0.0, 0.25, "mid_whistler")


@pytest.mark.parametrize("given", ["site", "./site", "site/", "site/../site"])
def test_files_of_a_folder_are_named_below_the_path_as_it_was_given(
    run: Run, site: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(site).parent)
    files = [w["file"] for w in lines(run(given, "--format", "windows").stdout)]
    below = ["a.ogg", "b/20240501_053000.flac", "b/20240501_060000.wav", "b.wav", "c/d/e.WAV"]
    assert list(dict.fromkeys(files)) == [os.path.join(given, name) for name in below]


def test_workers_change_nothing_but_the_time(bundle: Bundle, site: str, tmp_path: Path) -> None:
    replayer = Replayer(ReplaySettings(bundle=bundle.path, spool=True))
    recordings = find_recordings(
        [str(tmp_path / "none.wav"), site, str(tmp_path / "empty")]
    ).recordings

    def replayed(workers: int) -> list[tuple[str, list[Any]]]:
        return [
            (o.file, [*o.detections, *o.predictions(), o.clock])
            if isinstance(o, ReplayResult)
            else (str(o), [])
            for o in replay_all(replayer, recordings, workers=workers)
        ]

    one, two = replayed(1), replayed(2)
    assert one == two
    assert [bool(found) for _, found in one] == [False, *[True] * 5, False]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replay_that_is_left_early_leaves_nothing_behind(
    bundle: Bundle, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spools))
    replayer = Replayer(ReplaySettings(bundle=bundle.path, spool=True))
    outcomes = replay_all(replayer, find_recordings([site]).recordings, workers=workers)
    next(outcomes)
    assert list(spools.iterdir())
    outcomes.close()
    assert not list(spools.iterdir())


def test_an_output_that_fails_half_way_leaves_nothing_behind(
    run: Run, recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools, picture = tmp_path / "spools", tmp_path / "picture.png"
    spools.mkdir()
    picture.mkdir()  # in the way of the picture, which is drawn after the first recording
    monkeypatch.setattr(tempfile, "tempdir", str(spools))
    result = run(recording, "--format", "windows", "--plot", str(picture))
    assert result.exit_code != 0
    assert str(picture) in result.stderr
    # Even while somebody holds the traceback, and with it what was at work.
    assert result.exc_info is not None
    assert not list(spools.iterdir())


def test_ids_are_of_the_recording_not_of_its_place(run: Run, site: str) -> None:
    before = [d["id"] for d in lines(run(site, "--format", "jsonl").stdout)]
    moved = site + "-moved"
    os.rename(site, moved)
    after = [d["id"] for d in lines(run(moved, "--format", "jsonl").stdout)]
    assert before == after
    assert len(set(before)) == len(before) > 5


def test_settings_that_change_results_change_config_and_ids(run: Run, recording: str) -> None:
    one, other = (
        lines(run(recording, "--format", "jsonl", "--hop-s", hop).stdout)[0]
        for hop in ("1.0", "0.5")
    )
    assert one["config"] != other["config"]
    assert one["id"] != other["id"]


def test_start_is_where_times_come_from(run: Run, recording: str) -> None:
    first = lines(
        run(recording, "--format", "jsonl", "--start", "2020-02-29T23:59:59.5-01:00").stdout
    )[0]
    assert first["start_utc"] == "2020-03-01T00:59:59.500000Z"
    assert first["clock"] == {"source": "option", "synced": True, "uncertainty_s": 0.0}


def test_bad_recordings_are_told_in_one_line_each_and_the_others_are_heard(
    run: Run, tmp_path: Path, recording: str
) -> None:
    text, empty, slow = tmp_path / "text.wav", tmp_path / "empty.flac", tmp_path / "slow.wav"
    text.write_text("not audio\n" * 50)
    empty.touch()
    write_audio(slow, soundscape()[:8000], 100)
    bad = [str(tmp_path / "none.wav"), str(text), str(empty), str(slow)]
    result = run(*bad[:2], recording, *bad[2:], "--format", "windows")
    assert result.exit_code == 1
    complaints = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert [c.split(": ")[:2] for c in complaints] == [["error", path] for path in bad]
    assert {w["file"] for w in lines(result.stdout)} == {recording}
    assert result.stdout == run(recording, "--format", "windows").stdout


def test_a_folder_without_audio_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    result = run(str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {tmp_path}: no audio files in this folder\n"


def test_a_file_name_that_is_not_utf8_and_one_with_markup(run: Run, tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/fr\xf8 [red]\xff.wav")
    write_audio(tmp_path / "a.wav", tone(300, 2))
    os.rename(tmp_path / "a.wav", strange)
    for form in FORMATS:
        out = tmp_path / f"out.{form}"
        assert run(strange, "--format", form, "--out", str(out)).exit_code == 0
        assert out.stat().st_size > 0
    assert lines((tmp_path / "out.windows").read_text())[0]["file"] == strange


def test_out_holds_what_standard_output_would(run: Run, site: str, tmp_path: Path) -> None:
    out = tmp_path / "results" / "detections.jsonl"
    out.parent.mkdir()
    result = run(site, "--format", "jsonl", "--out", str(out))
    assert (result.exit_code, result.output) == (0, "")
    assert out.read_text() == run(site, "--format", "jsonl").stdout
    assert os.listdir(out.parent) == ["detections.jsonl"]


def test_when_nothing_could_be_heard_the_output_stays_as_it_was(run: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for before in (None, "yesterday's\n"):
        out = results / "out.csv"
        if before is not None:
            out.write_text(before)
        assert run(str(tmp_path / "none.wav"), "--format", "csv", "--out", str(out)).exit_code == 1
        assert os.listdir(results) == ([] if before is None else ["out.csv"])
        assert before is None or out.read_text() == before


def test_a_failure_half_way_leaves_nothing_half_written(
    run: Run, recording: str, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    # The plot fails after the first recording has been written to the temporary file.
    result = run(
        recording, "--out", str(results / "out.txt"), "--plot", str(tmp_path / "nowhere" / "a.png")
    )
    assert result.exit_code == 2
    assert os.listdir(results) == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--bundle", "{tmp}/none"], 1, "{tmp}/none: not a bundle, it has no manifest.json"),
        (["--hop-s", "0"], 2, "--hop-s = 0.0: is not a number of seconds above 0"),
        (["--hop-s", "nan"], 2, "--hop-s = nan: is not a number of seconds above 0"),
        (["--hop-s", "7"], 2, "--hop-s = 7: must be above 0 and at most the window of 1 s"),
        (["--start", "noon"], 2, "--start: 'noon' is not a time with its zone"),
        (["--workers", "0"], 2, "Invalid value for '--workers'"),
        (["--format", "xml"], 2, "Invalid value for '--format'"),
        (["--backend", "gpu"], 2, "Invalid value for '--backend'"),
        (
            ["--backend", "cuda"],
            2,
            "--backend = cuda: cannot run here: cuda: this ONNX Runtime was built without CUDA",
        ),
        (["--colour"], 2, "No such option"),
        (["--out", "{tmp}/no/out.csv"], 2, "{tmp}/no/out.csv: its folder does not exist"),
        (["--out", "{tmp}"], 2, "{tmp}: is there and not a regular file"),
        (["--out", "{recording}"], 2, "{recording}: is one of the recordings"),
        (["--plot", "{recording}"], 2, "{recording}: is one of the recordings"),
        (["{recording}", "--plot", "a.png"], 2, "--plot: draws one recording, and 2 were given"),
    ],
)
def test_faults_of_options_are_one_line(
    run: Run, recording: str, tmp_path: Path, args: list[str], code: int, message: str
) -> None:
    places = {"tmp": tmp_path, "recording": recording}
    before = Path(recording).read_bytes()
    result = run(recording, *(a.format(**places) for a in args))
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: " + message.format(**places))
    assert result.stderr.count("\n") == 1
    assert Path(recording).read_bytes() == before


def test_a_bundle_that_fails_its_self_test_is_refused(recording: str, tmp_path: Path) -> None:
    spoiled = tiny_bundle(tmp_path / "spoiled", golden_error=0.01)
    result = CliRunner().invoke(main, ["replay", "--bundle", str(spoiled.path), recording])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "golden window" in result.stderr


def test_info_tells_what_a_bundle_is(bundle: Bundle) -> None:
    result = CliRunner().invoke(main, ["info", "--bundle", str(bundle.path)])
    assert result.exit_code == 0
    assert bundle.digest in result.stdout
    assert "low_hummer: Low Hummer (Bombus gravis)" in result.stdout


def test_info_tells_outputs_thresholds_and_variants(tmp_path: Path) -> None:
    seeing = choir_bundle(
        tmp_path / "seeing",
        frame_threshold=0.4,
        attention=True,
        label_thresholds={"mid_whistler": 0.7},
    )
    result = CliRunner().invoke(main, ["info", "--bundle", str(seeing.path)])
    assert result.exit_code == 0
    for line in (
        "head       sigmoid, rejects by max_logit above 2",
        "window     carries every label from a score of 0.5, but for those that name their own",
        (
            "outputs    embedding 12, logits 3, frames 63 (heard from a score of 0.4), attention "
            "12 "
            "bands x 63 parts"
        ),
        "  mid_whistler: Mid Whistler (Sibilus medius), from a score of 0.7",
    ):
        assert line in result.stdout.splitlines()
    old = choir_bundle(tmp_path / "old", frame_threshold=0.4, golden_errors={"frames": np.nan})
    assert (
        "frames (heard from a score of 0.4)"
        in CliRunner().invoke(main, ["info", "--bundle", str(old.path)]).stdout
    )
    several = tiny_bundle(tmp_path / "several", variant_errors={"int8-cpu": 0.0})
    said = CliRunner().invoke(main, ["info", "--bundle", str(several.path)]).stdout
    assert "variant    int8-cpu: int8 for onnx" in said
    assert "window     carries one label, or is unknown" in said


def test_bench_measures(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # without BirdNET, which has its own test
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    result = CliRunner().invoke(
        main, ["bench", "--bundle", str(bundle.path), "--runs", "1", "--minutes", "0.5"]
    )
    assert result.exit_code == 0, result.output
    for what in (
        "front end",
        "network",
        "audio seconds per CPU second",
        "MiB",
        "librosa",
        "BirdNET",
    ):
        assert what in result.stdout
