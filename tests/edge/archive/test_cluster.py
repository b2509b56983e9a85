"""The workers of a cluster that is there already: what they hear, survive and refuse."""

from __future__ import annotations

import importlib
import random
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.archive.hear import ArchiveJob
from edge.archive.keeping import Keeps
from edge.bundle import Bundle
from edge.cli import main
from edge.models import default_bundle_path
from edge.replay.recordings import find_recordings
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.archive_kills import VICTIMS, disturbed, long_recording, until
from tests.support.archives import page_faults, rows, season, timeless
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import SPEC
from tests.support.clusters import ROOT, dask_cluster

COUNT = 24
HOP_S = "0.05"
MOST_FAULTS = 200  # for a window: 30 are usual, and 2,400 were before


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


def hear(dataset: Path, scheduler: str, *arguments: str | Path) -> Result:
    command = ["archive", "hear", "--out", dataset, "--scheduler", scheduler, *arguments]
    return CliRunner().invoke(main, list(map(str, command)))


def test_a_long_recording_is_cut_among_workers_and_is_the_same(
    bundle: Bundle, dataset: Path, scheduler: str, tmp_path: Path
) -> None:
    long = write_audio(tmp_path / "20240501_050000.wav", np.concatenate([soundscape()] * 4))
    options = (long, "--bundle", bundle.path, "--hop-s", "0.5", "--windows", "--embeddings")
    assert hear(dataset, scheduler, *options, "float32", "--task", "7").exit_code == 0
    one = tmp_path / "one"
    assert hear(one, scheduler, *options, "float32", "--task", "1000").exit_code == 0
    for table in ("windows", "embeddings"):
        assert rows(dataset, table) == rows(one, table)
    assert timeless(dataset) == timeless(one)
    assert len(rows(dataset, "detections")) > 10


def test_whatever_is_killed_its_rows_are_those_of_an_undisturbed_run(
    bundle: Bundle, dataset: Path, scheduler: str, tmp_path: Path
) -> None:
    """The client, a worker, the scheduler: at any moment, in any order."""
    pond = tmp_path / "pond"
    season(pond, COUNT)
    long = long_recording(pond)
    options = ("--bundle", bundle.path, "--hop-s", HOP_S)
    victims = random.Random(7).sample(VICTIMS * 2, 2 * len(VICTIMS))
    disturbed((pond, *options, "--task", "9"), dataset, tmp_path / "cluster", victims, seed=7)
    assert hear(tmp_path / "undisturbed", scheduler, pond, *options).exit_code == 0
    assert timeless(dataset) == timeless(tmp_path / "undisturbed")
    assert len({row["path"] for row in rows(dataset, "files")}) == COUNT + 1
    assert long in {row["path"] for row in rows(dataset, "files")}


def test_hearing_takes_no_memory_anew_for_each_window(
    dataset: Path, scheduler: str, tmp_path: Path
) -> None:
    """By Dask's own settings, a worker has some hundred page faults for each."""
    seconds = 120
    tones = np.resize(soundscape(), seconds * SPEC.sample_rate_hz)
    options = ("--hop-s", "1", "--bundle", default_bundle_path())
    first = write_audio(tmp_path / "20240501_050000.wav", tones[: 6 * SPEC.sample_rate_hz])
    assert hear(dataset, scheduler, first, *options).exit_code == 0  # the bundle is loaded by now
    distributed: Any = importlib.import_module("distributed")  # which has no types
    with distributed.Client(scheduler, set_as_default=False) as client:
        before = sum(client.run(page_faults).values())
        long = write_audio(tmp_path / "20240501_060000.wav", tones)
        assert hear(dataset, scheduler, long, *options).exit_code == 0
        faults = sum(client.run(page_faults).values()) - before
    assert faults / (seconds - 4) < MOST_FAULTS


@pytest.fixture
def other_program(tmp_path: Path) -> Path:
    """This program in another version."""
    shutil.copytree(ROOT / "edge", tmp_path / "other" / "edge")
    (tmp_path / "other" / "edge" / "later.py").write_text('"""A later file."""\n')
    return tmp_path / "other"


def test_a_worker_of_another_version_is_refused(
    bundle: Bundle, dataset: Path, tmp_path: Path, other_program: Path
) -> None:
    """Alone it is one line; beside another, the other one hears all."""
    pond = tmp_path / "pond"
    season(pond, 3)
    options = (pond, "--bundle", bundle.path)
    with dask_cluster(tmp_path / "cluster", workers=0) as cluster:
        cluster.start_worker(code=other_program)
        refused = hear(dataset, cluster.address, *options)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "runs another version of this program (code " in refused.stderr
        cluster.start_worker()
        until(lambda: len(cluster.worker_pids()) == 2)
        time.sleep(2.0)
        result = hear(dataset, cluster.address, *options)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count(": it is not used") == 1
        assert "3 heard" in result.stderr


def test_the_bundle_travels(dataset: Path, tmp_path: Path, bundle: Bundle, scheduler: str) -> None:
    """What a worker hears with is what the client has, not what stands at the same place there."""
    moved = tmp_path / "moved"
    shutil.copytree(bundle.path, moved)
    replayer = Replayer(ReplaySettings(bundle=moved))
    shutil.move(moved, tmp_path / "away")
    replayer.bundles = [_at(replayer.bundles[0], tmp_path / "away")]
    recording = write_audio(tmp_path / "20240501_050000.wav", soundscape())
    found = find_recordings([recording]).recordings
    summary = ArchiveJob(replayer, dataset, keeps=Keeps()).run(found, scheduler=scheduler)
    assert summary.fates["heard"] == 1
    assert len(rows(dataset, "detections")) == len(replayer.replay(recording).detections)


def _at(bundle: Bundle, path: Path) -> Bundle:
    return replace(bundle, path=path)


def test_no_scheduler_is_one_line(bundle: Bundle, dataset: Path, recording: str) -> None:
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        result = hear(dataset, address, recording, "--bundle", bundle.path)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert f"--scheduler = {address}: no scheduler can be reached there" in result.stderr
    assert not dataset.exists()
