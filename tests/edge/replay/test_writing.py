"""What a replay says beside its results, and which of them are wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.errors import AudioError
from edge.replay.formats import FORMATS, Format
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.replay.writing import Output, OutputChoice
from tests.support.audio import soundscape, write_audio
from tests.support.results import with_effort

Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Bundle) -> Run:
    return lambda *args: CliRunner().invoke(main, ["replay", "--bundle", str(bundle.path), *args])


def named(*files: str) -> list[Recording | AudioError]:
    return [Recording(file=file, name=file) for file in files]


class Altered(Replayer):
    """Finds in every recording what few have."""

    def __init__(self, bundle: Bundle, **effort: Any) -> None:
        super().__init__(ReplaySettings(bundle=bundle.path))
        self._altered = effort

    def replay(self, file: str, **kwargs: Any) -> ReplayResult:
        result = super().replay(file, **kwargs)
        notes = ("its header says 12.00 s",) if self._altered else ()
        return replace(with_effort(result, **self._altered), notes=notes)


@pytest.mark.parametrize("per_file", [False, True])
def test_missing_audio_is_exit_1_and_its_detections_are_written(
    bundle: Bundle, recording: str, tmp_path: Path, per_file: bool
) -> None:
    out = tmp_path / "out"
    choice = OutputChoice(form="csv", out=str(out), per_file=per_file)
    table = out / "20240501_053000.csv" if per_file else out
    whole = Output(choice, named(recording), given=[recording])
    assert whole.write(Altered(bundle), workers=1)
    text = table.read_text()
    table.unlink()
    cut_short = Output(choice, named(recording), given=[recording])
    assert not cut_short.write(Altered(bundle, missing_s=1e-3), workers=1)
    assert table.read_text().count("\n") == text.count("\n") == 5
    assert Output(replace(choice, overwrite=True), named(recording), given=[recording]).write(
        Altered(bundle, gap_s=60.0, header_s=12.0), workers=1
    )


def test_every_note_is_a_warning_that_names_the_recording(
    bundle: Bundle, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_audio(Path(recording).with_name("other.wav"), soundscape()[:8000])
    unjudged = {"unjudged_s": {"stuck": 3.0, "short": 0.01}}
    choice = OutputChoice(form="jsonl")
    both = Output(choice, named(recording, other), given=[recording, other])
    assert both.write(Altered(bundle, **unjudged), workers=1)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"warning: {recording}: its header says 12.00 s",
        f"warning: {recording}: 3.0 s of 19.3 s were not judged: 3.0 s constant or railed at full "
        "scale, 10 ms too short for a window",
        f"warning: {other}: its header says 12.00 s",
        f"warning: {other}: 3.0 s of 1.0 s were not judged: 3.0 s constant or railed at full "
        "scale, 10 ms too short for a window",
    ]


def test_a_silent_recording_is_not_silently_without_detections(run: Run, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "20240501_053000.wav", soundscape()[:48_000] * 0)
    result = run(file, "--format", "jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    said = f"warning: {file}: 6.0 s of 6.0 s were not judged: nothing but silence\n"
    assert result.stderr == said


def test_a_recording_that_was_judged_throughout_gives_no_word(run: Run, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "20240501_053000.wav", soundscape()[:48_000])
    assert run(file, "--format", "jsonl").stderr == ""


@pytest.mark.parametrize("form", ["jsonl", "recordings"])
def test_a_least_score_leaves_out_names_and_keeps_unknowns(
    run: Run, recording: str, form: Format
) -> None:
    every = [json.loads(s) for s in run(recording, "--format", "jsonl").stdout.splitlines()]
    scores = sorted(d["score"] for d in every if d["label"])
    between = str((scores[0] + scores[-1]) / 2)
    result = run(recording, "--format", form, "--min-score", between)
    wanted = [d for d in every if d["label"] is None or d["score"] >= float(between)]
    assert 0 < len(wanted) < len(every)
    assert any(d["label"] is None for d in wanted)
    if form == "jsonl":
        # The same events under the same ids: it is a choice of what to show.
        assert [json.loads(s) for s in result.stdout.splitlines()] == wanted
    else:
        unknowns = sum(d["label"] is None for d in wanted)
        assert f",{len(wanted)},{unknowns}," in result.stdout
    assert run(recording, "--format", "jsonl", "--min-score", "0").stdout.count("\n") == len(every)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--top", "3"], "--top: is only for --format csv and raven"),
        (["--top", "3", "--format", "jsonl"], "--top: is only for --format csv and raven"),
        (["--top", "6", "--format", "csv"], "Invalid value for '--top'"),
        (["--min-score", "1.5"], "Invalid value for '--min-score'"),
        (["--min-score", "nan"], "Invalid value for '--min-score': nan is not a finite number"),
        (
            ["--min-score", "0.5", "--format", "windows"],
            "--min-score: is about detections, and --format windows has none",
        ),
        (["--overwrite"], "--overwrite: is only for --per-file; --out replaces a file"),
        (["--plot", "a.gif"], "--plot = a.gif: no picture has such a suffix; it is one of png,"),
        (["--plot", "a"], "--plot = a: no picture has such a suffix"),
        (["--plot", "png"], "--plot = png: no picture has such a suffix"),
        (["--out", "a.png", "--plot", "./a.png"], "--plot = ./a.png: is the file of --out, too"),
    ],
)
def test_what_cannot_be_together_is_one_line(
    run: Run,
    recording: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = run(recording, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_lets_an_old_column_move(run: Run, recording: str, form: Format) -> None:
    """Programs count columns; what is new comes last."""
    old = {
        "csv": (
            "file,start_s,end_s,start_utc,end_utc,label,common_name,scientific_name,nearest,score,"
            "novelty,clock_source,id,"
        ),
        "raven": (
            "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t"
            "High Freq (Hz)\tBegin Path\tFile Offset (s)\tCommon Name\tSpecies Code\tScore\t"
            "Novelty\t"
        ),
        "windows": '{"file": ',
        "jsonl": '{"schema_version": 1, "id": ',
    }
    assert run(recording, "--format", form).stdout.startswith(old.get(form, ""))
