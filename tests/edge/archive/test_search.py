"""Windows that sound like a clip, by their embeddings: exactly, and by an index."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from click.testing import CliRunner, Result
from pyarrow import parquet

from edge.archive.manifest import kept_in
from edge.archive.nearest import Match, nearest
from edge.archive.schema import PRECISIONS, dtype_in
from edge.bundle import Bundle
from edge.cli import main
from edge.types import Array
from tests.support.archives import rows, season
from tests.support.audio import noise, soundscape, write_audio
from tests.support.bundles import tiny_bundle, tone


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season") / "pond"
    season(folder, 3)
    stereo = np.stack([soundscape(), soundscape() * 0.1], axis=1)
    write_audio(folder / "20240502_050000.wav", np.repeat(stereo, 2, axis=0), 16_000)
    return folder


@pytest.fixture(scope="module")
def dataset(bundle: Bundle, pond: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard(tmp_path_factory.mktemp("archive") / "dataset", bundle, pond, "float32")


def heard(dataset: Path, bundle: Bundle, given: Path, precision: str) -> Path:
    options = ("--bundle", bundle.path, "--hop-s", "0.5", "--timezone", "Europe/Vienna")
    result = run("hear", given, "--out", dataset, "--embeddings", precision, *options)
    assert result.exit_code == 0, result.stderr
    return dataset


def directions(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, 12)).astype(np.float32)


def by_hand(dataset: Path, vector: Array) -> list[Match]:
    """All windows with an embedding, the nearest first, from what any reader finds."""
    found = []
    dtype = dtype_in(kept_in(dataset).schema("embeddings").field("embedding"))
    for row in rows(dataset, "embeddings"):
        if row["embedding"] is not None:
            e = np.frombuffer(row["embedding"], dtype).astype(np.float64)
            e *= row["embedding_scale"] or 1.0
            similarity = float(e @ vector / np.linalg.norm(e) / np.linalg.norm(vector))
            window = {name: row[name] for name in ("path", "start_sample", "end_sample")}
            found.append(Match(similarity=similarity, **window))
    return sorted(found, key=lambda m: -m.similarity)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_windows_are_looked_at(
    bundle: Bundle, pond: Path, tmp_path: Path, precision: str
) -> None:
    dataset = heard(tmp_path / "dataset", bundle, pond / "20240501_050000.wav", precision)
    for vector in directions(5):
        found, expected = nearest(dataset, vector, 20), by_hand(dataset, vector)[:20]
        assert [m.similarity for m in found] == pytest.approx(
            [m.similarity for m in expected], abs=1e-6
        )
    assert not (dataset / "index").exists()
    assert len(nearest(dataset, vector, 1000)) == len(by_hand(dataset, vector)) > 30


def test_an_index_finds_the_same_and_knows_when_it_is_out_of_date(
    bundle: Bundle, pond: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    dataset = heard(tmp_path / "dataset", bundle, pond / "20240501_050000.wav", "float16")
    for given in (pond / "20240501_050100.wav", pond / "20240501_050000.wav", pond):
        heard(dataset, bundle, given, "float16")
        for vector in directions(5):
            found = nearest(dataset, vector, 10, exact=0, say=said.append)
            expected = by_hand(dataset, vector)[:10]
            assert [m.similarity for m in found] == pytest.approx(
                [m.similarity for m in expected], abs=2e-3
            )
    made = [line for line in said if line.startswith("making the index of ")]
    changed = [line for line in said if line.startswith("the dataset has changed")]
    assert (len(made), len(changed)) == (2, 1)
    assert len({m.path for m in nearest(dataset, vector, 500, exact=0)}) == 4
    assert {file.name for file in dataset.iterdir() if file.name.startswith(".")} == {".staging"}


@pytest.mark.parametrize("name", ["graph.usearch", "vectors.npy", "paths.json", "index.json"])
def test_an_index_that_is_damaged_is_made_anew(dataset: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    said: list[str] = []
    vector = directions(1)[0]
    before = nearest(copy, vector, 10, exact=0)
    file = copy / "index" / name
    if name == "index.json":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-5])
    assert nearest(copy, vector, 10, exact=0, say=said.append) == before
    assert ("the index is damaged: it is made anew" in said) == (name != "index.json")
    assert any(line.startswith("making the index of ") for line in said)


@pytest.mark.parametrize("exact", [0, 1_000_000])
def test_a_file_of_another_network_hides_no_others(
    dataset: Path, tmp_path: Path, exact: int
) -> None:
    """Whichever of them comes first: what is asked for says how long an embedding is."""
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    first, *others = sorted((copy / "embeddings").glob("part-*"))
    table = parquet.ParquetFile(first).read()
    field = table.schema.field("embedding")
    short = pa.array([cell and cell[:8] for cell in table["embedding"].to_pylist()], pa.binary())
    place = table.schema.get_field_index("embedding")
    parquet.write_table(table.set_column(place, field, short), first)
    found = nearest(copy, directions(1)[0], 1000, exact=exact)
    paths = {path for file in others for path in parquet.read_table(file)["path"].to_pylist()}
    assert {match.path for match in found} == paths != set()


@pytest.mark.parametrize("exact", [0, 1_000_000])
def test_what_a_killed_job_left_is_not_found(dataset: Path, tmp_path: Path, exact: int) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    vector = directions(1)[0]
    before = {m.path for m in nearest(copy, vector, 500, exact=exact)}
    for file in (copy / "files").rglob("part-*"):
        file.unlink()
    assert len(before) == 4
    assert nearest(copy, vector, 500, exact=exact) == []


def table(dataset: Path, *arguments: str | Path) -> list[dict[str, str]]:
    result = run("search", dataset, "--format", "csv", *arguments)
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_a_window_of_a_recording_finds_itself(bundle: Bundle, dataset: Path, pond: Path) -> None:
    clip = pond / "20240501_050000.wav"
    found = table(dataset, clip, "--at", "11.5", "--bundle", bundle.path, "--top", "5")
    assert len(found) == 5
    alike = [(row["path"], row["start_s"]) for row in found if float(row["similarity"]) > 0.9999]
    assert (str(clip), "11.500") in alike
    assert found[0]["label"] == "high_peeper"
    assert found[0]["start_local"].endswith("+02:00")
    lines = run("search", dataset, clip, "--at", "11.5", "--bundle", bundle.path).stdout
    assert f" 11.50  {clip}  2024-05-01T05:00:11+02:00" in lines


def test_a_detection_finds_its_like(dataset: Path) -> None:
    for event in rows(dataset, "detections")[:4]:
        found = table(dataset, "--like", event["id"], "--top", "8")
        assert float(found[0]["similarity"]) == pytest.approx(1.0, abs=1e-4)
        assert {row["label"] for row in found} == {event["label"] or ""}
        similarities = [float(row["similarity"]) for row in found]
        assert similarities == sorted(similarities, reverse=True)


def test_selections_open_in_raven(dataset: Path, tmp_path: Path) -> None:
    event = next(row for row in rows(dataset, "detections") if row["label"])
    out = tmp_path / "found.txt"
    result = run("search", dataset, "--like", event["id"], "--format", "raven", "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    found = list(csv.DictReader(io.StringIO(out.read_text()), delimiter="\t"))
    expected = table(dataset, "--like", event["id"])
    assert [row["Begin Path"] for row in found] == [row["path"] for row in expected]
    assert [float(row["File Offset (s)"]) for row in found] == [
        float(row["start_s"]) for row in expected
    ]
    durations = {row["path"]: row["duration_s"] for row in rows(dataset, "files")}
    begin_s = 0.0
    for path in dict.fromkeys(row["path"] for row in expected):
        own = [row for row in found if row["Begin Path"] == path]
        for row in own:
            offset_s = float(row["Begin Time (s)"]) - float(row["File Offset (s)"])
            assert offset_s == pytest.approx(begin_s, abs=1e-4)
        begin_s += durations[path]


def test_clips_are_the_sound_of_the_windows(bundle: Bundle, dataset: Path, tmp_path: Path) -> None:
    event = next(row for row in rows(dataset, "detections") if row["label"])
    out = tmp_path / "clips"
    options = ("--like", event["id"], "--format", "clips", "--top", "12")
    assert run("search", dataset, *options, "--out", out).exit_code == 0
    listed = list(csv.DictReader(io.StringIO((out / "clips.csv").read_text())))
    clips = sorted(out.glob("*.wav"))
    assert len(listed) == len(clips) == 12
    for row, clip in zip(listed, clips, strict=True):
        samples, rate_hz = soundfile.read(clip)
        whole, own_hz = soundfile.read(row["path"], always_2d=True)
        start, end = (round(float(row[name]) * own_hz) for name in ("start_s", "end_s"))
        assert rate_hz == own_hz
        assert np.abs(samples - whole[start:end].mean(axis=1)).max() <= 2**-15
        again = table(dataset, clip, "--bundle", bundle.path, "--top", "1")
        assert float(again[0]["similarity"]) > 0.999
    refused = run("search", dataset, *options, "--out", out)
    assert (refused.exit_code, refused.stderr) == (2, f"error: --out = {out}: is there already\n")


def test_a_recording_that_has_gone_is_said(
    dataset: Path, bundle: Bundle, pond: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(pond, own)
    dataset = heard(tmp_path / "dataset", bundle, own, "int8")
    (own / "20240501_050100.wav").unlink()
    event = rows(dataset, "detections")[0]
    out = tmp_path / "clips"
    result = run("search", dataset, "--like", event["id"], "--format", "clips", "--out", out)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"warning: {own / '20240501_050100.wav'}: ")
    assert 0 < len(list(out.glob("*.wav"))) < 100
    assert not any("050100" in clip.name for clip in out.glob("*.wav"))


def test_what_cannot_be_is_one_line(
    bundle: Bundle, dataset: Path, pond: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    run("hear", pond / "20240501_050000.wav", "--out", bare, "--bundle", bundle.path)
    other = tiny_bundle(tmp_path / "other", order=(2, 1, 0))
    short = write_audio(tmp_path / "short.wav", tone(300, 0.6))
    dead = write_audio(tmp_path / "dead.wav", noise(1) * 0)
    clip = pond / "20240501_050000.wav"
    ours = ("--bundle", bundle.path)
    for status, arguments, said in (
        (2, (bare, clip), f"DATASET = {bare}: has no embeddings"),
        (2, (tmp_path, clip), "is no dataset"),
        (2, (dataset, "--like", "f00"), "--like = f00: is the id of no detection"),
        (2, (dataset,), "give a clip to search for, or a detection"),
        (2, (dataset, clip, "--like", "f00"), "give a clip to search for, or a detection"),
        (2, (dataset, "--like", "f00", "--at", "1"), "--at: is for a clip"),
        (2, (dataset, clip, "--format", "clips"), "--out: is needed for --format clips"),
        (2, (dataset, clip, "--bundle", other.path), "does not stand on the network"),
        (2, (dataset, clip, *ours), "lasts longer than a window of the dataset, 1 s"),
        (1, (dataset, short, *ours), "lasts 0.60 s, and a window of the dataset 1 s"),
        (1, (dataset, clip, "--at", "19", *ours), "has 0.30 s from 19 s on"),
        (1, (dataset, clip, "--at", "99", *ours), "has 0.00 s from 99 s on"),
        (1, (dataset, dead, *ours), "is silent there"),
        (1, (dataset, tmp_path / "none.wav", *ours), "none.wav"),
    ):
        result = run("search", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (status, 1), result.stderr
        assert said in result.stderr
