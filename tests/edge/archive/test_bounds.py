"""Numbers, times and words of a stranger's dataset, which must end in a line and not in a crash."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from edge.archive.activity import activity_of
from edge.archive.bounds import bounds_of
from edge.archive.checking import checked
from edge.archive.hit_clips import write_clips
from edge.archive.hit_formats import hit_lines
from edge.archive.hits import Hit, hits_of
from edge.archive.nearest import Match
from edge.archive.schema import TABLES, arrow_schema
from edge.bundle import Bundle
from edge.clock import EPOCH, Clock, file_clock
from edge.errors import ConfigError
from edge.replay.formats.base import RecordingEffort, ReplayResult
from edge.sources.header import audio_facts
from tests.support.archives import archive, heard_season, season

NUMBERS = [
    field
    for table in TABLES
    for field in arrow_schema(table)
    if any(word in str(field.type) for word in ("int", "double", "float", "timestamp"))
    and not pa.types.is_list(field.type)
]
LATEST = datetime(2300, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def heard(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_season(tmp_path_factory.mktemp("bounds"), 1, bundle)


@pytest.fixture
def dataset(heard: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(heard, tmp_path / "dataset"))


def set_cells(dataset: Path, table: str, column: str, value: object) -> None:
    (part,) = (dataset / table).glob("part-*.parquet")
    found = parquet.ParquetFile(part).read()
    place, field = found.schema.get_field_index(column), found.schema.field(column)
    cells = pa.array([value] * len(found), field.type)
    parquet.write_table(found.set_column(place, field, cells), part)


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_every_column_of_numbers_or_times_has_both_bounds(field: Any) -> None:
    bounds = bounds_of(field)
    assert bounds is not None
    assert bounds[0] < bounds[1]


@pytest.mark.parametrize("beyond", [-1, 2**47 + 1])
def test_samples_in_lists_have_bounds_too(beyond: int) -> None:
    found = pa.table({"sound_from": pa.array([[1, beyond]], pa.list_(pa.int64()))})
    with pytest.raises(pa.ArrowInvalid, match="sound_from is beyond"):
        checked("embeddings", found, ["sound_from"])


def test_what_is_within_all_bounds_stays_within_the_calendar() -> None:
    bounds = {field.name: bounds_of(field) for field in NUMBERS}
    lowest, most = bounds["sample_rate_hz"], bounds["end_sample"]
    assert lowest is not None
    assert most is not None
    clock = Clock(
        start_utc=LATEST,
        sample_rate_hz=lowest[0],
        source="name",
        synced=False,
        uncertainty_s=0.0,
    )
    assert clock.utc(most[1]).year < 9999
    assert (LATEST + timedelta(seconds=1e9)).year < 9999


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("files", "duration_s", 1e12),
        ("files", "clock_utc", datetime(3, 5, 1, tzinfo=timezone.utc)),
        ("files", "time_zone", "Mars/Phobos"),
        ("detections", "start_sample", 2**62),
        ("embeddings", "start_sample", 2**62),
    ],
)
def test_every_question_ends_as_it_should(
    dataset: Path, bundle: Bundle, tmp_path: Path, table: str, column: str, value: object
) -> None:
    set_cells(dataset, table, column, value)
    clip = dataset.parent / "clip.wav"
    shutil.copy(season(tmp_path / "pond", 1)[0], clip)
    with_bundle = ("--bundle", bundle.path)
    for question in (
        ("export", dataset, "--since", "2020-01-01"),
        ("search", dataset, clip, *with_bundle, "--at", "0", "--top", "3"),
        ("rescore", dataset, *with_bundle, "--out", tmp_path / "new"),
        ("activity", dataset),
        ("status", dataset),
    ):
        archive(*question)


@pytest.mark.parametrize("status", ["failed", None])
def test_where_nothing_was_heard_there_is_no_activity(
    dataset: Path, tmp_path: Path, status: str | None
) -> None:
    if status is None:
        for part in dataset.glob("*/part-*.parquet"):
            part.unlink()
    else:
        set_cells(dataset, "files", "status", status)
    shown = archive("activity", dataset)
    assert (shown.exit_code, shown.stdout.splitlines()[0][:15]) == (0, "0.00 h heard on")
    assert archive("compare", dataset, dataset).stdout.startswith("0 recordings heard by both\n")
    assert archive("activity", dataset, "--plot", tmp_path / "year.png").exit_code == 0


def test_too_much_to_count_is_one_line(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.archive.activity.MOST_CELLS", 20)
    with pytest.raises(ConfigError, match="too many years, or too many species"):
        activity_of(dataset)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("bundle", "variant", "hop_s", "configuration")),
        ("hop_s", "1"),
        ("hop_s", 1e300),
        ("hop_s", True),
        ("time_zone", 5),
        ("time_zone", "Mars/Phobos"),
        ("channel", [1]),
    ],
)
def test_what_a_dataset_says_of_its_maker_is_checked(
    dataset: Path, bundle: Bundle, tmp_path: Path, name: str, value: object
) -> None:
    content = json.loads((dataset / "dataset.json").read_text())
    content["made_by"][name] = value
    (dataset / "dataset.json").write_text(json.dumps(content))
    for question in (
        ("rescore", dataset, "--bundle", bundle.path, "--out", tmp_path / "new"),
        ("activity", dataset),
        ("status", dataset),
    ):
        result = archive(*question)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert f"does not say by which {name.replace('_', ' ')} it was made" in result.stderr


def hit(dataset: Path, label: str = "low_hummer") -> Hit:
    (path,) = (dataset.parents[0] / "pond").glob("*.wav")
    clock = Clock(
        start_utc=LATEST, sample_rate_hz=8000, source="name", synced=False, uncertainty_s=0.0
    )
    recording = ReplayResult(
        file=str(path),
        path=str(path),
        duration_s=19.0,
        clock=clock,
        detections=(),
        effort=RecordingEffort(audio_s=19.0, judged_s=19.0),
    )
    return Hit(rank=1, similarity=1.0, start_s=0.0, end_s=1.0, recording=recording, label=label)


def test_a_label_does_not_reach_the_terminal_as_it_is(heard: Path) -> None:
    lines = list(hit_lines([hit(heard, "x\x1b[1m\n")]))
    assert len(lines) == 2
    assert "x\\x1b[1m\\n" in lines[1]


@pytest.mark.parametrize("full", ["write_bytes", "open"])
def test_clips_on_a_full_disk_are_none_at_all(
    heard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    def fails(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    complaints: list[str] = []
    found, out = [hit(heard)], tmp_path / "owls"
    assert write_clips(tmp_path / "whole", found, complain=complaints.append) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Path, full, fails)
        with pytest.raises(OSError, match="No space left") as raised:
            write_clips(out, found, complain=complaints.append)
    assert raised.value.filename == str(out)
    assert (complaints, sorted(file.name for file in tmp_path.iterdir())) == ([], ["whole"])


def test_a_hit_of_a_recording_whose_row_is_damaged_is_left_out(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = parquet.read_table(dataset / "files")["path"].to_pylist()
    match = Match(similarity=1.0, path=str(paths[0]), start_sample=0, end_sample=8000)
    assert len(hits_of(dataset, [match])) == 1
    set_cells(dataset, "files", "time_zone", "Mars/Phobos")
    assert hits_of(dataset, [match]) == []
    assert "1 hits left out, with damaged rows of files" in caplog.text


def test_a_time_of_the_file_is_no_start_centuries_ago(tmp_path: Path) -> None:
    """As where a header announces twenty thousand million seconds."""
    plain = tmp_path / "plain.wav"
    shutil.copy(season(tmp_path / "x", 1)[0], plain)
    facts = audio_facts(str(plain))
    long = replace(facts, layout=replace(facts.layout, present=8000 * 20_000_000_000))
    clock = file_clock(long, sample_rate_hz=8000)
    assert (clock.start_utc, clock.source) == (EPOCH, "mtime")
