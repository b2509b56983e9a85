"""Events are measured against calls at known times."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bench.event_times import Errors, Mark, compare, event_times, joined, marks_in
from edge.cli import main
from edge.errors import UserError
from tests.support import marked
from tests.support.bundles import TONES_HZ, choir_bundle, tone

NAMES = {"low_hummer": "Low Hummer", "mid_whistler": "Mid Whistler", "high_peeper": "High Peeper"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made calls of 0.8 to 4 s in made wind, and one of which no bundle knows."""
    rng = np.random.default_rng(2)
    labels = [*NAMES, *NAMES, "stranger"]
    calls = (
        marked.Call(
            label=label,
            common_name=NAMES.get(label, "Stranger"),
            samples=tone(TONES_HZ.get(label, 700.0), rng.uniform(0.8, 4), marked.RATE_HZ),
        )
        for label in labels
    )
    path = tmp_path_factory.mktemp("marked")
    assert marked.write_set(path, calls, [], seed=3, levels_db=(40, 50)) == 2 * len(labels)
    return path


def test_calls_are_where_the_marks_say(folder: Path) -> None:
    marks = marks_in(folder)
    for file, found in itertools.groupby(marks, key=lambda mark: mark.file):
        first, second = found
        assert marked.EDGE_S <= first.start_s < first.end_s < second.start_s < second.end_s
        assert file.is_file()


def test_events_by_frames_are_within_half_a_second(folder: Path, tmp_path: Path) -> None:
    framed = choir_bundle(tmp_path / "framed", frame_threshold=0.5, activation="softmax_other")
    lines = list(event_times(framed.path, folder))
    assert "frames" in lines[0]
    assert lines[1] == "  left out, not among the labels: Stranger"
    narrowed = [line for line in lines if line.startswith("  hop")]
    assert [line.split()[1] for line in narrowed] == ["0.5", "1"]
    for line in narrowed:
        start_s, end_s = (float(part.split()[0]) for part in line.split("off by ")[1:])
        assert max(start_s, end_s) <= 0.5, line
    assert lines[-1] == "  wanted: medians of 0.5 s at a fine hop"


def test_the_command_measures_a_bundle_without_frames(folder: Path, tmp_path: Path) -> None:
    plain = choir_bundle(tmp_path / "plain")
    args = ["bench", "--bundle", str(plain.path), "--marked", str(folder)]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    narrowed, whole, *_ = result.output.splitlines()[2:]
    assert "as one event each; start off by" in narrowed
    assert whole.startswith("    by windows  ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "marks.csv: No such file"),
        ("file,label\na.wav,ant\n", "has no column common_name, end_s, start_s"),
        (
            "file,label,common_name,start_s,end_s\na.wav,ant,Ant,early,2\n",
            "cannot be read as marks",
        ),
    ],
)
def test_marks_that_cannot_be_read_are_a_fault(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        (tmp_path / "marks.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        marks_in(tmp_path)
    result = CliRunner().invoke(main, ["bench", "--marked", str(tmp_path)])
    assert result.exit_code == 1
    assert reason in result.output
    assert "Traceback" not in result.output


def test_marks_within_the_cool_down_are_one_event_and_nothing_found_is_counted() -> None:
    def mark(start_s: float, end_s: float, label: str = "ant") -> Mark:
        return Mark(file=Path("a.wav"), label=label, common_name="", start_s=start_s, end_s=end_s)

    marks = [mark(1, 2), mark(4, 5), mark(9, 10), mark(5.5, 6, "bee")]
    assert joined(marks, 3.0) == [mark(1, 5), mark(9, 10), mark(5.5, 6, "bee")]
    errors = Errors()
    compare(marks, [], errors)
    assert str(errors) == "0 of 4 calls heard"


def test_a_loud_call_is_found_where_it_stands_alone() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 1e-3, 10 * marked.RATE_HZ).astype(np.float32)
    assert marked.loud_call(sound) is None
    start, length = round(4.2 * marked.RATE_HZ), round(1.3 * marked.RATE_HZ)
    sound[start : start + length] += tone(2000, 1.3, marked.RATE_HZ)
    found = marked.loud_call(sound)
    assert found is not None
    assert found.start == pytest.approx(start, abs=0.05 * marked.RATE_HZ)
    assert found.stop == pytest.approx(start + length, abs=0.05 * marked.RATE_HZ)


def test_the_demonstration_has_calls() -> None:
    labels = [call.label for call in marked.demonstration_calls()]
    assert labels == ["spring_peeper", "american_toad", "spring_peeper"]


@pytest.mark.data
def test_real_calls_stand_alone(recordings: Path) -> None:
    calls = list(marked.real_calls(recordings, species=["great_tit", "black_phoebe"], most=1))
    assert {call.label for call in calls} <= {"great_tit", "black_phoebe"}
    assert calls
    for call in calls:
        seconds = len(call.samples) / marked.RATE_HZ
        assert marked.LENGTHS_S[0] <= seconds <= marked.LENGTHS_S[1]
