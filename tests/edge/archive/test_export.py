"""What is exported of a dataset is what a replay would have written."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from edge.bundle.precision import LeastScores
from edge.cli import main
from tests.support.archives import season
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle
from tests.support.calibrations import calibrated, least

Run = Callable[..., Result]
FORMATS = ("csv", "raven", "audacity", "kaleidoscope", "jsonl")


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings at one place, one of them in a folder below, one dead, one without a date."""
    pond = tmp_path_factory.mktemp("season") / "pond"
    season(pond, 3)
    season(pond / "b", 1)
    write_audio(pond / "20240502_050000.wav", soundscape()[:16_000] * 0)
    write_audio(pond / "19700101_000554.wav", soundscape())
    return pond


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    bundle = tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", calibration=calibrated())
    return ["--bundle", str(bundle.path), "--hop-s", "0.3", "--timezone", "Europe/Vienna"]


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, pond: Path, options: list[str], scheduler: str
) -> Path:
    """A dataset whose parts are not in the order of the paths."""
    dataset = tmp_path_factory.mktemp("archive") / "dataset"
    for given in (pond / "b", pond):
        result = run("archive", "hear", given, "--out", dataset, "--scheduler", scheduler, *options)
        assert result.exit_code == 0, result.stderr
    return dataset


@pytest.mark.parametrize("form", FORMATS)
def test_it_is_what_a_replay_writes_byte_for_byte(
    pond: Path, dataset: Path, options: list[str], form: str, tmp_path: Path
) -> None:
    replayed = run("replay", pond, "--format", form, *options)
    exported = run("archive", "export", dataset, "--format", form)
    assert (exported.exit_code, exported.stderr) == (0, "")
    assert exported.stdout == replayed.stdout
    assert exported.stdout.count("\n") > 10
    out = tmp_path / "out"
    result = run("archive", "export", dataset, "--format", form, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text() == exported.stdout


@pytest.mark.parametrize("form", FORMATS)
def test_one_output_for_each_recording(
    pond: Path, dataset: Path, options: list[str], form: str, tmp_path: Path
) -> None:
    arguments = ("--format", form, "--per-file", "--out")
    assert run("replay", pond, *arguments, tmp_path / "a", *options).exit_code == 0
    assert run("archive", "export", dataset, *arguments, tmp_path / "b").exit_code == 0
    found, expected = (
        {file.relative_to(top): file.read_text() for file in top.rglob("[!.]*") if file.is_file()}
        for top in (tmp_path / "b", tmp_path / "a")
    )
    assert found == expected
    assert len(found) == 6
    again = run("archive", "export", dataset, *arguments, tmp_path / "b")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "--overwrite replaces what is there" in again.stderr


def rows(dataset: Path, *arguments: str) -> list[dict[str, str]]:
    result = run("archive", "export", dataset, *arguments)
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_only_what_is_wanted(dataset: Path) -> None:
    whole = rows(dataset)
    hummers = rows(dataset, "--species", "Bombus gravis")
    assert hummers == [row for row in whole if row["label"] == "low_hummer"]
    both = rows(dataset, "--species", "low hummer", "--species", "high_peeper")
    assert {row["label"] for row in both} == {"low_hummer", "high_peeper"}
    assert rows(dataset, "--min-score", "0.9") == whole
    assert rows(dataset, "--min-score", "1") == [row for row in whole if not row["label"]] != []
    late = rows(dataset, "--since", "2024-05-01T03:01:05Z")
    assert late == [row for row in whole if row["start_utc"] >= "2024-05-01T03:01:05"]
    assert 0 < len(late) < len(whole)
    assert rows(dataset, "--since", "2024-05-02") == []


def test_precision_leaves_out_what_does_not_keep_it(tmp_path: Path, recording: str) -> None:
    scores = LeastScores(own={"low_hummer": least(0.9)}, not_kept=("high_peeper",))

    calibration = calibrated(precisions={"0.9": scores})
    bundle = tiny_bundle(tmp_path / "tiny", calibration=calibration)
    dataset = tmp_path / "dataset"
    options = ("--bundle", bundle.path, "--hop-s", "0.3")
    assert run("archive", "hear", recording, "--out", dataset, *options).exit_code == 0
    exported = rows(dataset, "--precision", "0.9")
    replayed = run("replay", recording, "--format", "csv", "--precision", "0.9", *options)
    expected = list(csv.DictReader(io.StringIO(replayed.stdout)))
    ours = ("config", "id")  # the precision is a part of them
    assert [{k: v for k, v in row.items() if k not in ours} for row in exported] == [
        {k: v for k, v in row.items() if k not in ours} for row in expected
    ]
    assert "low_hummer" in {row["label"] for row in exported}
    assert "high_peeper" not in {row["label"] for row in exported}
    refused = run("archive", "export", dataset, "--precision", "0.8")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "no least scores for this precision, only for 0.9" in refused.stderr


def test_a_recording_tells_by_which_code_it_was_heard(dataset: Path, tmp_path: Path) -> None:
    codes = {row["code"] for row in rows(dataset)}
    lines = run("archive", "export", dataset, "--format", "jsonl").stdout.splitlines()
    assert {json.loads(line)["code"] for line in lines} == codes
    assert len(codes) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--species", "dodo"), "--species: "),
        (("--since", "yesterday"), "--since = yesterday: is not a day such as 2024-05-01"),
        (("--min-score", "0.5", "--precision", "0.9"), "does not go with --min-score"),
        (("--top", "3", "--format", "jsonl"), "--top: is only for --format csv and raven"),
        (("--overwrite",), "is only for --per-file"),
    ],
)
def test_what_cannot_be_is_one_line(dataset: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("archive", "export", dataset, *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def test_a_recording_is_never_written_over(dataset: Path, pond: Path) -> None:
    result = run("archive", "export", dataset, "--out", next(iter(sorted(pond.glob("*.wav")))))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "is one of the recordings, and would be overwritten" in result.stderr
    assert "is no dataset" in run("archive", "export", pond).stderr


def move(dataset: Path, pond: Path, path: str) -> None:
    """Have the recordings of a dataset that are below `pond` be below `path`."""
    for table in ("files", "detections"):
        for part in (dataset / table).glob("part-*.parquet"):
            found = parquet.ParquetFile(part).read()
            place = found.schema.get_field_index("path")
            cells = [str(cell).replace(str(pond), path) for cell in found["path"].to_pylist()]
            changed = found.set_column(place, found.schema.field("path"), pa.array(cells))
            parquet.write_table(changed, part)


def outputs(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("[!.]*.csv")}


@pytest.mark.parametrize("recorded", [True, False])
def test_a_dataset_that_grows_is_exported_on(
    pond: Path, options: list[str], scheduler: str, tmp_path: Path, recorded: bool
) -> None:
    """Its recordings are below another folder then, and what is there keeps its place."""
    season(tmp_path / "in" / "pond", 2)
    season(tmp_path / "in" / "lake", 1)
    dataset, out = tmp_path / "dataset", tmp_path / "out"
    for name, new in (
        ("pond", {"20240501_050000.csv", "20240501_050100.csv"}),
        ("lake", {"lake/20240501_050000.csv"}),
    ):
        given = (tmp_path / "in" / name, "--out", dataset, "--scheduler", scheduler)
        assert run("archive", "hear", *given, *options).exit_code == 0
        before = outputs(out)
        result = run("archive", "export", dataset, "--per-file", "--resume", "--out", out)
        assert result.exit_code == 0, result.stderr
        assert outputs(out) - before == new
        if not recorded:
            (out / ".recordings.jsonl").unlink()


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("/a/../../..{elsewhere}", "leads to another folder"),
        ("file://{elsewhere}", "is in an object store"),
        ("s3://bucket{elsewhere}", "is in an object store"),
        ("/a\0{elsewhere}", "is no path of a recording"),
    ],
)
def test_a_strange_path_leads_nowhere(
    dataset: Path, pond: Path, tmp_path: Path, path: str, beside: str
) -> None:
    copy, elsewhere = tmp_path / "dataset", tmp_path / "elsewhere"
    shutil.copytree(dataset, copy)
    move(copy, pond, path.format(elsewhere=elsewhere))
    refused = run("archive", "export", copy, "--per-file")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert beside in refused.stderr
    result = run("archive", "export", copy, "--per-file", "--out", tmp_path / "out")
    if "\0" not in path:
        assert result.exit_code == 0, result.stderr
        assert len(outputs(tmp_path / "out")) == 6
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "out") == ["dataset"]


def test_recordings_here_and_in_a_store_go_together(
    dataset: Path, pond: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    move(copy, pond / "b", "s3://bucket/b")
    result = run("archive", "export", copy, "--per-file", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    found = outputs(tmp_path / "out")
    assert "bucket/b/20240501_050000.csv" in found
    assert f"{str(pond).lstrip('/')}/20240501_050000.csv" in found
