"""What a job survives: kill -9, a recording that kills, a full disk, another job, half a part."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import distributed
import pytest

from edge.archive.hear import ArchiveJob, Summary
from edge.archive.parts import Parts
from edge.archive.remote import Tasks
from edge.archive.status import status_lines
from edge.bundle import Bundle
from edge.errors import AudioError, BackendError
from edge.replay.recordings import Recording, find_recordings
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.archives import (
    FATEFUL,
    LETHAL,
    deadly,
    dies_at_birth,
    job,
    rows,
    season,
    timeless,
)
from tests.support.audio import soundscape, write_audio
from tests.support.disk import small_disk

KILLS, COUNT = 4, 30
Heard = Callable[..., Summary]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


def until(condition: Callable[[], bool], within_s: float = 90.0) -> None:
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.005)


def is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def heard(scheduler: str) -> Heard:
    def hear(replayer: Replayer, out: Path, *inputs: Path | str) -> Summary:
        return ArchiveJob(replayer, out).run(recordings(*inputs), scheduler=scheduler)

    return hear


def recordings(*inputs: Path | str) -> list[Recording | AudioError]:
    return find_recordings([str(path) for path in inputs]).recordings


def test_killed_at_any_moment_it_has_the_rows_of_an_undisturbed_run(
    heard: Heard, bundle: Bundle, dataset: Path, tmp_path: Path
) -> None:
    pond = tmp_path / "pond"
    season(pond, COUNT)
    dice = random.Random(5)
    options = ("--bundle", bundle.path, "--hop-s", "0.05", "--workers", "2")
    for _ in range(KILLS):
        before = len(parts(dataset))
        with job(pond, "--out", dataset, *options) as process:
            until(lambda: len(parts(dataset)) > before)  # noqa: B023 - it ends in this round
            time.sleep(dice.uniform(0.0, 0.2))
        # Killed; its workers end with it, though nobody tells them.
        until(lambda: is_gone(process.pid))
    assert 0 < len(rows(dataset, "files")) < COUNT, "it was killed while there was work"
    with job(pond, "--out", dataset, *options) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "there already" in said
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.05))
    heard(replayer, tmp_path / "undisturbed", pond)
    assert timeless(dataset) == timeless(tmp_path / "undisturbed")
    assert len({row["path"] for row in rows(dataset, "files")}) == COUNT
    assert list((dataset / ".staging").iterdir()) == []


def parts(dataset: Path) -> list[str]:
    return Parts(dataset).names()


def test_stopped_by_a_signal_it_keeps_what_was_heard(
    heard: Heard, bundle: Bundle, dataset: Path, tmp_path: Path
) -> None:
    season(tmp_path / "pond", COUNT)
    command = (tmp_path / "pond", "--out", dataset, "--bundle", bundle.path, "--hop-s", "0.02")
    with job(*command) as process:
        until(lambda: bool(parts(dataset)))
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert 0 < len(rows(dataset, "files")) < COUNT


def test_a_recording_that_kills_is_quarantined_and_ends_nothing_else(
    heard: Heard, replayer: Replayer, dataset: Path, tmp_path: Path
) -> None:
    pond = tmp_path / "pond"
    season(pond, 5)
    lethal = write_audio(pond / f"20240501_0502_{LETHAL}.wav", soundscape())
    (pond / "strange.wav").write_bytes(b"?")
    work = ArchiveJob(replayer, dataset, tasks=Tasks(work=deadly))
    assert work.run(recordings(pond), workers=2).fates == {
        "heard": 5,
        "failed": 1,
        "quarantined": 1,
        "incomplete": 0,
    }
    statuses = {row["path"]: row["status"] for row in rows(dataset, "files")}
    assert statuses[lethal] == "quarantined"

    # It is left alone, until somebody says so or the file is another one.
    again = heard(replayer, dataset, pond)
    assert again.fates["quarantined"] == 1
    assert not again.whole
    tried = ArchiveJob(replayer, dataset, again=True).run(recordings(lethal))
    assert (tried.fates["heard"], tried.whole) == (1, True)
    assert len(rows(dataset, "files")) == 7


def test_a_worker_that_dies_for_another_reason_costs_nothing(
    heard: Heard, replayer: Replayer, dataset: Path, tmp_path: Path
) -> None:
    pond = tmp_path / "pond"
    season(pond, 6)
    for minute in (1, 4):
        write_audio(pond / f"20240501_05{minute:02}30_{FATEFUL}.wav", soundscape())
    work = ArchiveJob(replayer, dataset, tasks=Tasks(work=deadly))
    assert work.run(recordings(pond), workers=2).fates == {"heard": 8, "incomplete": 0}
    heard(replayer, tmp_path / "undisturbed", pond)
    assert timeless(dataset) == timeless(tmp_path / "undisturbed")


def test_processes_that_never_begin_blame_no_recording(
    replayer: Replayer, dataset: Path, tmp_path: Path
) -> None:
    lethal = write_audio(tmp_path / f"{LETHAL}.wav", soundscape())
    job = ArchiveJob(replayer, dataset, tasks=Tasks(work=deadly, ready=dies_at_birth))
    with pytest.raises(BackendError, match="die before they have begun"):
        job.run(recordings(lethal))
    assert rows(dataset, "files") == []


def test_two_jobs_on_one_dataset_are_one_line(
    bundle: Bundle, dataset: Path, tmp_path: Path
) -> None:
    season(tmp_path / "pond", COUNT)
    command = (tmp_path / "pond", "--out", dataset, "--bundle", bundle.path, "--hop-s", "0.02")
    with job(*command) as first:
        until(lambda: bool(parts(dataset)) and bool(rows(dataset, "files")))
        first.send_signal(signal.SIGSTOP)  # so that it is not done before the second
        assert 0 < len(rows(dataset, "files")) < COUNT, "it is readable while it is being filled"
        assert next(status_lines(dataset)).endswith(f"being filled by the process {first.pid}")
        with job(*command) as second:
            _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert said.startswith(f"error: --out = {dataset}: is in use by the process {first.pid} (")
    assert said.count("\n") == 1


@pytest.mark.mount
def test_a_full_disk_is_one_line_and_the_rest_is_heard_when_there_is_room(
    heard: Heard, bundle: Bundle, replayer: Replayer, tmp_path: Path
) -> None:
    pond, disk = tmp_path / "pond", tmp_path / "disk"
    season(pond, 12)
    disk.mkdir()
    with small_disk(disk, megabytes=1):
        filler = disk / "filler"
        filler.write_bytes(bytes(995_000))
        out = disk / "dataset"
        command = (pond, "--out", out, "--bundle", bundle.path, "--hop-s", "0.5")
        with job(*command) as process:
            _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert said.endswith("No space left on device\n"), said
        assert said.count("\n") == 1
        filler.unlink()
        assert heard(replayer, out, pond).fates["failed"] == 0
        heard(replayer, tmp_path / "roomy", pond)
        assert timeless(out) == timeless(tmp_path / "roomy")


@pytest.mark.parametrize("table", ["detections", "files"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "older"])
def test_half_a_part_is_heard_again(
    heard: Heard, replayer: Replayer, dataset: Path, tmp_path: Path, table: str, damage: str
) -> None:
    """As between any two steps of a job, or on a disk that has lost what was on it."""
    files = season(tmp_path / "pond", 3)
    for file in files:  # a part each
        heard(replayer, dataset, file)
    before = timeless(dataset)
    part = dataset / table / parts(dataset)[1]
    content = part.read_bytes()
    if damage == "gone":
        part.unlink()
    elif damage == "older":
        part.write_bytes((dataset / table / "empty.parquet").read_bytes())
    else:
        part.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    fates = heard(replayer, dataset, tmp_path / "pond").fates
    assert (fates["heard"], fates["there already"]) == (1, 2)
    assert timeless(dataset) == before


def test_without_pyarrow_it_says_how_to_install_it(recording: str, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from edge.cli import main; sys.argv[0] = 'edge'; main()"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "archive",
            "hear",
            recording,
            "--out",
            str(tmp_path / "dataset"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: edge archive needs pyarrow (")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dataset").exists()


def test_processes_that_cannot_be_closed_take_nothing_of_what_was_heard(
    replayer: Replayer,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Dask fails to join a process that is only being started anew."""
    close = distributed.LocalCluster.close

    def refuse(cluster: distributed.LocalCluster, timeout: float) -> None:
        close(cluster, timeout)
        raise AssertionError("can only join a started process")

    monkeypatch.setattr(distributed.LocalCluster, "close", refuse)
    file = write_audio(tmp_path / "dawn.wav", soundscape())
    ArchiveJob(replayer, dataset).run(recordings(file))
    assert len(rows(dataset, "files")) == 1
    assert "can only join a started process" in caplog.text
