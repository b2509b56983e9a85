"""Activity by day and hour of the place, for each hour that was heard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.archive.activity import Activity, activity_of, rate
from edge.archive.activity_plot import draw_activity
from edge.archive.export import parse_since
from edge.bundle import Bundle
from edge.cli import main
from tests.support.archives import rows
from tests.support.audio import noise, soundscape, write_audio

RATE_HZ = 8000


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def dataset(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings over a local midnight, across the change to summer time, and without a date."""
    folder = tmp_path_factory.mktemp("season") / "pond"
    folder.mkdir()
    sound = soundscape()  # a hummer in its first 4 s, a peeper from 10 s, a whistler from 16.3 s
    write_audio(folder / "20240330_235952.wav", sound)
    write_audio(folder / "20240331_015955.wav", sound)
    write_audio(folder / "20240402_120000.wav", noise(2) * 0)
    write_audio(folder / "19700101_000554.wav", sound)
    dataset = tmp_path_factory.mktemp("archive") / "dataset"
    options = ("--bundle", bundle.path, "--timezone", "Europe/Vienna")
    assert run("hear", folder, "--out", dataset, *options).exit_code == 0
    return dataset


def of(activity: Activity, values: np.ndarray, day: int, hour: int) -> float:
    return float(values[date(2024, 3, day).toordinal() - activity.first_day.toordinal(), hour])


def test_each_hour_has_the_seconds_that_were_heard_in_it(dataset: Path) -> None:
    activity = activity_of(dataset)
    assert activity.first_day == date(2024, 3, 30)
    files = rows(dataset, "files")
    dated = [row for row in files if row["start_utc"] is not None]
    assert activity.heard_s.sum() == pytest.approx(sum(row["judged_s"] for row in dated))
    assert activity.undated_s == pytest.approx(
        sum(row["judged_s"] for row in files) - sum(row["judged_s"] for row in dated)
    )
    share = files[1]["judged_s"] / files[1]["duration_s"]
    assert of(activity, activity.heard_s, 30, 23) == pytest.approx(8 * share)
    assert of(activity, activity.heard_s, 31, 0) == pytest.approx(11.3 * share)
    # On this night the hour after one o'clock is that of three.
    assert of(activity, activity.heard_s, 31, 1) == pytest.approx(5 * share)
    assert of(activity, activity.heard_s, 31, 2) == 0
    assert of(activity, activity.heard_s, 31, 3) == pytest.approx(14.3 * share)


def test_the_time_of_a_file_is_no_hour_of_an_animal(bundle: Bundle, tmp_path: Path) -> None:
    write_audio(tmp_path / "toad.wav", soundscape())
    dataset = tmp_path / "dataset"
    assert run("hear", tmp_path, "--out", dataset, "--bundle", bundle.path).exit_code == 0
    (file,) = rows(dataset, "files")
    assert (file["clock_source"], file["detections"] > 0) == ("mtime", True)
    activity = activity_of(dataset)
    assert activity.heard_s.sum() == 0
    assert not activity.counts
    assert activity.undated_s == pytest.approx(file["judged_s"])


def test_each_detection_is_in_its_hour(dataset: Path) -> None:
    activity = activity_of(dataset)
    counts = activity.counts
    assert set(counts) == {"low_hummer", "mid_whistler", "high_peeper"}
    for label, hours in (("low_hummer", (23, 1)), ("high_peeper", (0, 3))):
        assert np.flatnonzero(counts[label].sum(axis=0)).tolist() == sorted(hours)
        assert counts[label].sum() == 2
    hummers = rate(counts["low_hummer"], activity.heard_s / 3600)
    expected = 3600 / of(activity, activity.heard_s, 30, 23)
    assert of(activity, hummers, 30, 23) == pytest.approx(expected)
    assert of(activity, hummers, 31, 0) == 0
    assert np.isnan(of(activity, hummers, 30, 12))


def test_only_what_is_wanted(dataset: Path) -> None:
    late = activity_of(dataset, since=parse_since("2024-03-30T23:00:00Z"))
    whole = activity_of(dataset)
    assert late.first_day == date(2024, 3, 31)
    assert late.heard_s.sum() == pytest.approx(whole.heard_s.sum() - whole.heard_s[0].sum())
    assert {label: int(c.sum()) for label, c in late.counts.items()} == {
        "low_hummer": 1,
        "high_peeper": 2,
        "mid_whistler": 2,
    }
    one = activity_of(dataset, labels=frozenset({"low_hummer", "nowhere"}))
    assert {label: int(c.sum()) for label, c in one.counts.items()} == {
        "low_hummer": 2,
        "nowhere": 0,
    }
    never = activity_of(dataset, since=parse_since("2030-01-01"))
    assert (never.heard_s.sum(), dict(never.counts)) == (0, {})


def test_lines_say_it_in_words(dataset: Path) -> None:
    lines = run("activity", dataset).stdout.splitlines()
    assert lines[1] == "hours in Europe/Vienna"
    assert "h more were heard, in hours that no clock tells" in lines[2]
    strip = next(line for line in lines if line.startswith("Low Hummer"))[-25:-1]
    # Hour 0 was heard, without one; the hours from 4 to 22 were not.
    assert (strip[0], strip[1], strip[4:23]) == ("·", "█", " " * 19)
    assert strip[23] in "▁▂▃▄▅▆▇"
    only = run("activity", dataset, "--species", "Bombus gravis", "--since", "2024-03-31")
    assert [line.split("  ")[0] for line in only.stdout.splitlines()[4:]] == ["Low Hummer"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_shows_what_was_not_heard(dataset: Path, tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"year.{suffix}"
    result = run("activity", dataset, "--plot", picture)
    assert result.exit_code == 0
    assert "in hours that no clock tells" in result.stderr
    content = picture.read_bytes()
    assert content[:4] == (b"\x89PNG" if suffix == "png" else b"<?xm")
    if suffix == "svg":
        text = content.decode()
        assert "grey: nothing was heard" in text or "glyph" in text


def test_many_species_and_none_can_be_drawn(tmp_path: Path) -> None:
    def activity(labels: Sequence[str]) -> Activity:
        return Activity(
            first_day=date(2024, 5, 1),
            heard_s=np.zeros((1, 24)),
            counts={label: np.ones((1, 24), np.int64) for label in labels},
            zones=(None,),
            undated_s=0.0,
        )

    for count in (0, 9):
        picture = tmp_path / f"{count}.png"
        draw_activity(activity([f"a{i}" for i in range(count)]), path=str(picture), name=str.title)
        assert picture.stat().st_size > 1000


def test_what_cannot_be_is_one_line(dataset: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path,), "is no dataset"),
        ((dataset, "--species", "dodo"), "--species: the bundle has no label"),
        ((dataset, "--since", "spring"), "--since = spring: is not a day"),
        ((dataset, "--plot", tmp_path / "year.gif"), "no picture has such a suffix"),
    ):
        result = run("activity", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert said in result.stderr
