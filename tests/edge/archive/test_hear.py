"""What a job hears, writes and says; and what it does when it is run again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from edge.bundle import Bundle
from edge.cli import main
from edge.wire_parts import DIGITS
from tests.support.archives import rows, season, timeless
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle

Run = Callable[..., Result]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


@pytest.fixture
def hear(bundle: Bundle, dataset: Path, scheduler: str) -> Run:
    def run(*arguments: str, out: Path = dataset) -> Result:
        options = ["--bundle", str(bundle.path), "--out", str(out)]
        if "--workers" not in arguments:
            options += ["--scheduler", scheduler]
        return CliRunner().invoke(main, ["archive", "hear", *options, *arguments])

    return run


def replayed(bundle: Bundle, *arguments: str) -> list[dict[str, object]]:
    command = ["replay", "--bundle", str(bundle.path), "--format", "jsonl", *arguments]
    return [json.loads(line) for line in CliRunner().invoke(main, command).stdout.splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_detections_are_those_of_a_replay_bit_for_bit(
    bundle: Bundle, hear: Run, dataset: Path, tmp_path: Path, workers: str
) -> None:
    season(tmp_path / "pond", 3)
    arguments = (str(tmp_path / "pond"), "--hop-s", "0.5", "--timezone", "Europe/Vienna")
    result = hear(*arguments, "--workers", workers)
    assert result.exit_code == 0, result.output
    expected = replayed(bundle, *arguments)
    found = rows(dataset, "detections")
    assert len(found) == len(expected) > 10
    same = (
        *("id", "label", "common_name", "scientific_name", "kind", "outcome", "nearest"),
        *("start_s", "end_s", "start_sample", "end_sample"),
        *("peak_sample", "sample_rate_hz", "windows", "start_local"),
        *("bundle", "variant", "backend", "config", "code"),
    )
    by_id = {row["id"]: row for row in found}
    for d in expected:
        row = by_id[d["id"]]
        assert {name: row[name] for name in same} == {name: d[name] for name in same}
        assert row["path"] == d["source"]
        for name in ("score", "novelty"):
            assert round(row[name], DIGITS) == d[name]
        assert [{**s, "score": round(s["score"], DIGITS)} for s in row["top"]] == d["top"]
        assert row["start_utc"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") == d["start_utc"]
        health, clock = d["health"], d["clock"]
        assert isinstance(health, dict)
        assert isinstance(clock, dict)
        assert {name: row[name] for name in health} == health
        assert row["clock_source"] == clock["source"]
        assert row["clock_uncertainty_s"] == clock["uncertainty_s"]
    assert {row["site"] for row in found} == {"pond"}


def test_the_journal_tells_absence_from_deafness(
    hear: Run, dataset: Path, tmp_path: Path, recording: str
) -> None:
    silent = write_audio(tmp_path / "silent.wav", soundscape()[:16_000] * 0)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    missing = tmp_path / "missing.wav"
    result = hear(recording, silent, str(broken), str(missing), "--site", "pond")
    assert result.exit_code == 1
    assert f"error: {broken}: " in result.stderr
    assert f"{dataset}: 2 heard, 2 failed, 0.01 h heard" in result.stderr
    by_path = {row["path"]: row for row in rows(dataset, "files")}
    whole = by_path[recording]
    assert whole["status"] == "heard"
    assert whole["detections"] == len(rows(dataset, "detections")) > 0
    assert (whole["size_bytes"], whole["site"]) == (os.path.getsize(recording), "pond")
    assert (whole["clock_source"], whole["hop_s"]) == ("name", 1.0)
    judged = by_path[silent]
    assert (judged["detections"], judged["judged_s"], judged["unjudged_dead_s"]) == (0, 0.0, 2.0)
    failed = by_path[str(broken)]
    assert (failed["status"], failed["detections"]) == ("failed", None)
    assert by_path[str(missing)]["status"] == "failed"
    assert str(broken) in failed["reason"]


def test_again_it_hears_what_is_missing_changed_or_failed_and_nothing_else(
    hear: Run, dataset: Path, tmp_path: Path
) -> None:
    files = season(tmp_path / "pond", 4)
    broken = tmp_path / "pond" / "z.wav"
    broken.write_bytes(b"RIFF")
    late = Path(files.pop())
    kept = late.rename(tmp_path / "late.wav")
    assert hear(str(tmp_path / "pond")).exit_code == 1
    first = {row["path"]: row["heard_utc"] for row in rows(dataset, "files")}
    assert len(first) == 4

    kept.rename(late)
    changed = write_audio(Path(files[1]), soundscape()[:40_000])
    write_audio(broken, soundscape())
    result = hear(str(tmp_path / "pond"))
    assert result.exit_code == 0
    assert f"{dataset}: 2 there already, 3 heard" in result.stderr
    second = {row["path"]: row["heard_utc"] for row in rows(dataset, "files")}
    assert {path for path in second if second[path] == first.get(path)} == {files[0], files[2]}
    assert second.keys() == {*first, str(late)}

    assert hear(str(tmp_path / "pond"), out=tmp_path / "fresh").exit_code == 0
    assert timeless(dataset) == timeless(tmp_path / "fresh")
    assert changed in {row["path"] for row in rows(dataset, "detections")}
    third = hear(str(tmp_path / "pond"), *files)
    assert f"{dataset}: 5 there already, 3 given twice, 0.00 h heard" in third.stderr


def test_a_dataset_from_before_a_column_was_added_goes_on(
    hear: Run, dataset: Path, tmp_path: Path
) -> None:
    files = season(tmp_path / "pond", 2)
    assert hear(*files).exit_code == 0
    later = {
        "files": ["etag", "month", "identity", "channel", "clock_utc", "windows", "embeddings"],
        "detections": ["month"],
    }
    for table, columns in later.items():
        for part in (dataset / table).glob("*.parquet"):
            parquet.write_table(parquet.read_table(part).drop_columns(columns), part)
    write_audio(Path(files[1]), soundscape()[:40_000])
    assert f"{dataset}: 1 there already, 1 heard" in hear(*files).stderr
    exported = CliRunner().invoke(main, ["archive", "export", str(dataset)])
    assert exported.exit_code == 0, exported.output
    assert exported.stdout.count("\n") == 1 + len(rows(dataset, "detections"))


def test_what_cannot_be_read_any_more_keeps_its_rows(
    hear: Run, dataset: Path, tmp_path: Path
) -> None:
    """A share that is away for a day must not cost what was heard of it."""
    file = Path(season(tmp_path, 1)[0])
    assert hear(str(file)).exit_code == 0
    before = timeless(dataset)
    file.unlink()
    result = hear(str(file))
    assert result.exit_code == 1
    assert f"{file}: cannot be read now; what was heard of it stays" in result.stderr
    assert timeless(dataset) == before


def test_what_is_not_there_yet_is_failed_until_it_is(
    hear: Run, dataset: Path, tmp_path: Path, recording: str
) -> None:
    away = tmp_path / "away.wav"
    first = hear(str(away), recording)
    assert (first.exit_code, first.exception.__class__) == (1, SystemExit)
    assert f"{dataset}: 1 failed, 1 heard" in first.stderr or "1 heard, 1 failed" in first.stderr
    write_audio(away, soundscape())
    second = hear(str(away), recording)
    assert second.exit_code == 0
    assert {row["status"] for row in rows(dataset, "files")} == {"heard"}


def test_it_is_the_same_dataset_from_any_folder(
    hear: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    season(tmp_path / "pond", 2)
    assert hear(str(tmp_path / "pond")).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert "2 there already" in hear("pond", "./pond/20240501_050000.wav").stderr


def test_a_name_that_is_not_utf8_is_spelled_out(hear: Run, dataset: Path, tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.rename(write_audio(tmp_path / "a.wav", soundscape()), strange)
    for count in ("1 heard", "1 there already"):
        assert count in hear(os.fsdecode(strange)).stderr
    assert {row["path"] for row in rows(dataset, "detections")} == {f"{tmp_path}/caf\\xe9.wav"}


def test_pandas_polars_and_duckdb_open_it_as_it_is(
    hear: Run, dataset: Path, recording: str
) -> None:
    assert hear(recording).exit_code == 0
    table = pd.read_parquet(dataset / "detections")
    query = f"select count(*), max(start_utc) from '{dataset}/detections/*.parquet'"
    assert duckdb.connect().execute(query).fetchall() == [(len(table), table["start_utc"].max())]
    assert str(table["start_utc"].dt.tz) == "UTC"
    lazy = polars.scan_parquet(dataset / "detections/*.parquet")
    labels = lazy.drop_nulls("label").group_by("label").len().collect()
    assert dict(labels.iter_rows()) == dict(table.groupby("label").size()) != {}


def test_row_groups_are_of_one_month_and_site(hear: Run, dataset: Path, tmp_path: Path) -> None:
    """So that a reader who wants one of them skips the others by the statistics in the file."""
    for site in ("pond", "wood"):
        for month in ("04", "05"):
            folder = tmp_path / site
            folder.mkdir(exist_ok=True)
            write_audio(folder / f"2024{month}01_050000.wav", soundscape())
    assert hear(str(tmp_path / "pond"), str(tmp_path / "wood")).exit_code == 0
    seen = set()
    for file in (dataset / "detections").glob("part-*"):
        parts = parquet.ParquetFile(file)
        for i in range(parts.num_row_groups):
            group = parts.read_row_group(i, columns=["month", "site"])
            assert len(group.group_by(["month", "site"]).aggregate([])) == 1
            seen.add((group["month"][0].as_py(), group["site"][0].as_py()))
    assert seen == {(f"2024-{month}", site) for month in ("04", "05") for site in ("pond", "wood")}


def test_a_dataset_without_a_detection_can_be_opened(
    hear: Run, dataset: Path, tmp_path: Path
) -> None:
    silent = write_audio(tmp_path / "silent.wav", soundscape()[:16_000] * 0)
    assert hear(silent).exit_code == 0
    assert len(pd.read_parquet(dataset / "detections")) == 0
    assert len(pd.read_parquet(dataset / "files")) == 1


def test_status_says_what_is_in_it(hear: Run, dataset: Path, tmp_path: Path) -> None:
    season(tmp_path / "pond", 2)
    (tmp_path / "pond" / "z.wav").write_bytes(b"RIFF")
    hear(str(tmp_path / "pond"))
    result = CliRunner().invoke(main, ["archive", "status", str(dataset)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"dataset     {dataset}, at rest"
    assert lines[2] == "recordings  1 failed, 2 heard"
    assert lines[4].startswith(f"detections  {len(rows(dataset, 'detections'))}, of which ")
    assert lines[5].startswith(f"failed: {tmp_path}/pond/z.wav: ")


def test_another_bundle_hop_or_version_is_one_line(
    hear: Run, dataset: Path, tmp_path: Path, recording: str
) -> None:
    assert hear(recording).exit_code == 0
    before = timeless(dataset)
    other = tiny_bundle(tmp_path / "other", order=(2, 1, 0))
    for arguments, name in ((("--hop-s", "0.5"), "hop s"), (("--bundle", str(other.path)), "")):
        result = hear(recording, *arguments)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"error: --out = {dataset}: was made with another {name}")
    manifest = dataset / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 9'))
    for result in (hear(recording), CliRunner().invoke(main, ["archive", "status", str(dataset)])):
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "has schema version 9, and this program has 2" in line
    assert timeless(dataset) == before


def test_a_place_that_is_no_dataset_is_left_alone(hear: Run, dataset: Path, recording: str) -> None:
    dataset.mkdir()
    (dataset / "thesis.txt").write_text("mine")
    result = hear(recording)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "has files in it that are no dataset" in result.stderr
    assert [file.name for file in dataset.iterdir()] == ["thesis.txt"]
    (dataset / "thesis.txt").unlink()
    dataset.rmdir()
    dataset.write_text("a file")
    assert "is a file, and a dataset is a folder" in hear(recording).stderr
    assert "is a pipe" in hear("-").stderr
    status = CliRunner().invoke(main, ["archive", "status", str(dataset)])
    assert "is no dataset of `edge archive hear`" in status.stderr
