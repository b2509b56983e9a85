"""What a dataset keeps of every window, and that it is enough to judge each again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars
import pytest
from click.testing import CliRunner, Result

from edge.archive.again import EventsAgain, pieces
from edge.archive.answers import BATCH_BYTES, PartAnswers
from edge.archive.hear import ArchiveJob
from edge.archive.keeping import Keeps
from edge.archive.reading import column_files
from edge.archive.schema import PRECISIONS, Precision
from edge.bundle import Bundle, Label
from edge.cli import main
from edge.detect.smoothing import SmoothingConfig
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import find_recordings
from edge.replay.replayer import Replayer, event_order
from edge.replay.settings import ReplaySettings
from edge.types import Detection
from edge.wire_parts import DIGITS
from tests.support.archives import rows, season
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import choir_bundle, tiny_bundle
from tests.support.containers import audiomoth_blocks
from tests.support.heads import tiny_head

Heard = Callable[..., Replayer]
SMOOTHED = SmoothingConfig(slide_s=1.0, boost=1.5, boost_s=5.0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


@pytest.fixture
def broken_off(tmp_path: Path) -> str:
    """A recording of a trigger, with pauses in it, the last but one with hardly any sound behind
    it, and a dead microphone.
    """
    whole = soundscape()[: 19 * 8000 // 256 * 256]
    samples = audiomoth_blocks(*[900 * (i % 3 != 1) for i in range(4)])(whole[: 256 * 5 * 118])
    end = audiomoth_blocks(70)(whole[: 2 * 256 * 2])
    path = tmp_path / "20240501_053000T.wav"
    return write_audio(path, np.concatenate([samples, end]), subtype="PCM_16")


@pytest.fixture
def heard(scheduler: str) -> Heard:
    def hear(out: Path, settings: ReplaySettings, keeps: Keeps, *inputs: str) -> Replayer:
        replayer = Replayer(settings)
        job = ArchiveJob(replayer, out, keeps=keeps)
        assert job.run(find_recordings(inputs).recordings, scheduler=scheduler).whole
        return replayer

    return hear


def again(
    replayer: Replayer, dataset: Path, result: ReplayResult, most_bytes: int = BATCH_BYTES
) -> list[Detection]:
    stages, size = replayer.stages(result.identity, result.clock), replayer.bundle.trunk_size
    events = EventsAgain(before=result, stages=stages, left_out=[])
    for file in column_files(dataset, "embeddings"):
        for piece in pieces(PartAnswers(file, *size).batches(most_bytes), replayer.model):
            if piece.span.path == result.file:
                events.follow(piece)
    return sorted(events.finished(), key=event_order)


@pytest.mark.parametrize("smoothing", [SmoothingConfig(), SMOOTHED])
@pytest.mark.parametrize("kind", ["tiny", "frames", "heads"])
def test_float32_embeddings_give_the_same_events_again_bit_for_bit(
    heard: Heard,
    dataset: Path,
    tmp_path: Path,
    broken_off: str,
    smoothing: SmoothingConfig,
    kind: str,
) -> None:
    """Across gaps, dead sound and the frames of a network; for heads on one, too."""
    if kind == "frames":
        bundle = choir_bundle(tmp_path / "choir", frame_threshold=0.5)
    else:
        bundle = tiny_bundle(tmp_path / "tiny")
    more: tuple[Path, ...] = ()
    if kind == "heads":
        own = Label(label="growler", common_name="Growler")
        more = (tiny_head(tmp_path / "head", bundle, {own: 1}).word,)
    settings = ReplaySettings(bundle=bundle.path, more_bundles=more, hop_s=0.3, smoothing=smoothing)
    replayer = heard(dataset, settings, Keeps(embeddings="float32"), broken_off)
    result = replayer.replay(broken_off)
    assert result.effort.gap_s > 50
    assert len(result.detections) > 3
    for most_bytes in (1, 20_000, BATCH_BYTES):
        assert again(replayer, dataset, result, most_bytes) == list(result.detections)
    assert {row["network"] for row in [keeps(dataset)]} == {bundle.trunk_digest}


def keeps(dataset: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((dataset / "dataset.json").read_text())["keeps"]
    return found


def test_a_new_head_over_stored_answers_gives_what_hearing_gives(
    heard: Heard, dataset: Path, tmp_path: Path, recording: str
) -> None:
    trunk = tiny_bundle(tmp_path / "tiny", variant_errors={"fast": 0.0})
    own = Label(label="growler", common_name="Growler")
    head = tiny_head(tmp_path / "head", trunk, {own: 2})
    settings = ReplaySettings(bundle=trunk.path, hop_s=0.5, variant="fp32")
    heard(dataset, settings, Keeps(embeddings="float32"), recording)
    assert {row["variant"] for row in rows(dataset, "embeddings")} == {"fp32"}
    replayer = Replayer(ReplaySettings(bundle=head.word, hop_s=0.5))
    result = replayer.replay(recording)
    assert "growler" in {d.label for d in result.detections}
    assert again(replayer, dataset, result) == list(result.detections)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_embeddings_are_as_exact_as_they_say(
    heard: Heard, dataset: Path, bundle: Bundle, recording: str, precision: Precision
) -> None:
    replayer = heard(
        dataset,
        ReplaySettings(bundle=bundle.path),
        Keeps(embeddings=precision),
        recording,
    )
    result = replayer.replay(recording)
    error = {"float32": 0.0, "float16": 2.0**-11, "int8": 0.5 / 127}[precision]
    for found, expected in zip(again(replayer, dataset, result), result.detections, strict=True):
        assert (found.label, found.start_sample) == (expected.label, expected.start_sample)
        assert found.score == pytest.approx(expected.score, abs=0.02 if error else 0.0)
        assert np.abs(found.embedding - expected.embedding).max() <= error
    width = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}[precision]
    opened = pd.read_parquet(dataset / "embeddings").dropna(subset="embedding")
    vectors = np.stack([np.frombuffer(cell, width) for cell in opened["embedding"]])
    assert vectors.shape == (len(opened), len(bundle.golden.embedding))
    also = polars.read_parquet(dataset / "embeddings/*.parquet").drop_nulls("embedding")
    query = f"select embedding from '{dataset}/embeddings/*.parquet' where embedding is not null"
    cells = duckdb.connect().execute(query).fetchall()
    assert also["embedding"].to_list() == opened["embedding"].to_list()
    assert [cell for (cell,) in cells] == opened["embedding"].to_list()


def run(bundle: Bundle, dataset: Path, *arguments: str) -> Result:
    command = ["archive", "hear", "--bundle", str(bundle.path), "--out", str(dataset)]
    return CliRunner().invoke(main, [*command, *arguments])


def test_windows_are_those_of_a_replay(
    bundle: Bundle, dataset: Path, tmp_path: Path, broken_off: str
) -> None:
    season(tmp_path / "pond", 2)
    given = [str(tmp_path / "pond"), broken_off]
    assert run(bundle, dataset, "--windows", "--workers", "2", *given).exit_code == 0
    command = ["replay", "--bundle", str(bundle.path), "--format", "windows", *given]
    lines = CliRunner().invoke(main, command).stdout.splitlines()
    expected = {(row["file"], row["start_s"]): row for row in map(json.loads, lines)}
    found = rows(dataset, "windows")
    assert len(found) == len(expected) > 50
    for row in found:
        line = expected[row["path"], round(row["start_s"], DIGITS)]
        for name in ("label", "outcome", "nearest", "unjudged"):
            assert row[name] == line[name]
        for name in ("score", "novelty"):
            assert row[name] == pytest.approx(line[name], abs=1e-6)
        assert [s["label"] for s in row["top"]] == [s["label"] for s in line["top"]]
        assert row["hop_s"] == 1.0
    counts = {row["path"]: row["windows"] for row in rows(dataset, "files")}
    assert sum(counts.values()) == len(found)


def test_a_dataset_keeps_the_same_of_all_recordings(
    bundle: Bundle, dataset: Path, recording: str, tmp_path: Path
) -> None:
    assert run(bundle, dataset, "--embeddings", "int8", recording).exit_code == 0
    for arguments in ((), ("--embeddings", "float16"), ("--windows", "--embeddings", "int8")):
        result = run(bundle, dataset, recording, *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert f"--out = {dataset}: keeps int8 embeddings, not " in result.stderr


def test_embeddings_of_several_networks_are_one_line(
    bundle: Bundle, dataset: Path, recording: str, tmp_path: Path
) -> None:
    other = tiny_bundle(tmp_path / "other", order=(2, 1, 0))
    result = run(bundle, dataset, "--bundle", str(other.path), "--embeddings", "int8", recording)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--embeddings: several networks judge here" in result.stderr
    assert not dataset.exists()


@pytest.mark.parametrize("table", ["windows", "embeddings"])
def test_half_a_part_is_heard_again(
    scheduler: str, replayer: Replayer, dataset: Path, tmp_path: Path, table: str
) -> None:
    files = season(tmp_path, 2)
    both = Keeps(windows=True, embeddings="float16")
    for file in files:
        one = find_recordings([file]).recordings
        ArchiveJob(replayer, dataset, keeps=both).run(one, scheduler=scheduler)
    before = rows(dataset, table)
    (dataset / table / "part-0000001.parquet").unlink()
    found = find_recordings(files).recordings
    fates = ArchiveJob(replayer, dataset, keeps=both).run(found, scheduler=scheduler).fates
    assert (fates["heard"], fates["there already"]) == (1, 1)
    assert rows(dataset, table) == before
