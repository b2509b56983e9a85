"""Recordings for an archive, what is in a dataset, and a job as a process that may be killed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from edge.archive.hearing import Hearing, hear
from edge.archive.keeping import Keeps
from edge.archive.remote import JobKey
from edge.bundle import Bundle
from edge.cli import main
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from tests.support.audio import noise, soundscape, write_audio
from tests.support.bundles import SPEC

__all__ = [
    "FATEFUL",
    "LETHAL",
    "archive",
    "deadly",
    "dies_at_birth",
    "heard_season",
    "job",
    "page_faults",
    "rows",
    "season",
    "timeless",
]

ROOT = Path(__file__).resolve().parents[2]
# In the names of recordings on which `deadly` kills its process.
LETHAL, FATEFUL = "lethal", "fateful"


def season(folder: Path, count: int) -> list[str]:
    """Write so many recordings of 19 to 23 s, no two alike, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for i in range(count):
        rolled = np.roll(soundscape(), i * SPEC.sample_rate_hz)
        samples = np.concatenate([rolled, noise(i % 5, SPEC.sample_rate_hz, seed=i)])
        files.append(write_audio(folder / f"20240501_05{i:02}00.wav", samples))
    return files


def archive(*arguments: str | Path) -> Result:
    """Run `edge archive` with arguments, which ends as a command does."""
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def heard_season(folder: Path, count: int, bundle: Bundle) -> Path:
    """Return a dataset below `folder` of so many recordings, with embeddings."""
    season(folder / "pond", count)
    options = ("--bundle", bundle.path, "--embeddings", "float16", "--hop-s", "0.5")
    assert archive("hear", folder / "pond", "--out", folder / "heard", *options).exit_code == 0
    return folder / "heard"


def rows(dataset: Path, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table as any reader gets them, in an order of their own."""
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(dataset / table).to_pylist()

    def key(row: dict[str, Any]) -> tuple[str, int, str]:
        # The text of a time sorts otherwise than the time.
        return row["path"], row.get("start_sample") or 0, repr({**row, "heard_utc": None})

    return sorted(found, key=key)


def timeless(dataset: Path) -> list[list[dict[str, Any]]]:
    """Return all rows of both tables but for when they were made."""
    return [
        [{name: cell for name, cell in row.items() if name != "heard_utc"} for row in found]
        for found in (rows(dataset, "detections"), rows(dataset, "files"))
    ]


@contextmanager
def job(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run `edge archive hear` as the leader of a group of processes; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "archive", "hear", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def deadly(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    """Kill this process on a recording that is `LETHAL`, as a lack of memory does; on one that is
    `FATEFUL` for the first time, too.
    """
    if LETHAL in recording.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if FATEFUL in recording.name and not (seen := Path(f"{recording.file}.seen")).exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return hear(replayer, recording, keeps)


def dies_at_birth(key: JobKey) -> None:
    """End the process before its first recording, as one does that has no memory for a model."""
    os._exit(1)


def page_faults() -> int:
    """Return how often this process took a page of memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
