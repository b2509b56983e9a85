"""What an archive costs beyond hearing: printed by `make bench`, a line for each number.

Seconds are of the clock where they say so, and of processors elsewhere: these are the same on a
machine that has other work.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.archive.hear import ArchiveJob
from edge.archive.remote import Tasks
from edge.demo import SAMPLE_RATE_HZ, soundscape
from edge.errors import AudioError
from edge.models import default_bundle_path
from edge.replay.recordings import Recording, find_recordings
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import soundscape as tones
from tests.support.audio import write_audio
from tests.support.bench_tasks import CANNED, EACH, NOTES, deaf, hear_and_note
from tests.support.bundles import tiny_bundle

SHORT_S = 3.0
MINUTES = 4  # of a recording
Found = Sequence[Recording | AudioError]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds of the clock, of the processors, and of those in this process alone."""

    clock_s: float
    cpu_s: float
    own_s: float

    @staticmethod
    def now() -> Spent:
        """Return what was spent until now, by processes that have ended and by this one."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own_s = time.process_time()
        cpu_s = own_s + children.ru_utime + children.ru_stime
        return Spent(clock_s=time.perf_counter(), cpu_s=cpu_s, own_s=own_s)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            clock_s=self.clock_s - other.clock_s,
            cpu_s=self.cpu_s - other.cpu_s,
            own_s=self.own_s - other.own_s,
        )


def main() -> None:
    """Measure all of it in one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="short recordings")
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks that hear nothing")
    parser.add_argument("--minutes", type=int, default=48, help="of audio for the default bundle")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        tasks(Path(name), count=arguments.tasks)
        short_files(Path(name), files=arguments.files)
        two_workers(Path(name), minutes=arguments.minutes)


def heard(
    replayer: Replayer,
    out: Path,
    found: Found,
    workers: int = 1,
    tasks: Tasks | None = None,
    warm: int = 1,
) -> Spent:
    """Return what a job takes, without what it takes until `warm` recordings are heard."""
    began = Spent.now()
    ArchiveJob(replayer, out, tasks=tasks).run(found[:warm], workers=workers)
    start = Spent.now() - began
    began = Spent.now()
    ArchiveJob(replayer, out, tasks=tasks).run(found[warm:], workers=workers)
    return Spent.now() - began - start


def plain(replayer: Replayer, found: Found) -> Spent:
    """Return what a loop takes that hears and forgets."""
    began = Spent.now()
    for recording in found:
        assert isinstance(recording, Recording)
        replayer.outcome(recording)
    return Spent.now() - began


def tasks(folder: Path, *, count: int) -> None:
    """Measure what a task costs that hears nothing: the scheduler, the client and a row."""
    replayer = Replayer(ReplaySettings(bundle=tiny_bundle(folder / "other").path))
    os.environ[CANNED] = write_audio(folder / "canned.wav", tones())
    os.environ[NOTES] = str(folder / "tasks-notes")
    found = [Recording(file=f"/nowhere/{i:07}.wav", name="") for i in range(count)]
    spent = heard(replayer, folder / "tasks-out", found, 1, Tasks(work=deaf))
    worker_ms, _ = noted(folder / "tasks-notes")
    print(
        f"{count} tasks: {1000 * spent.own_s / count:.2f} ms each in client and scheduler, "
        f"{worker_ms:.2f} ms in the worker; {1000 * spent.clock_s / count:.2f} ms by the clock",
        flush=True,
    )


def short_files(folder: Path, *, files: int) -> None:
    """Measure what a short file costs beyond hearing it, and how a worker's memory grows."""
    short = folder / "short"
    short.mkdir()
    bundle = tiny_bundle(folder / "tiny")
    samples = tones()[: round(SHORT_S * bundle.frontend.sample_rate_hz)]
    first = write_audio(short / "20240501_000000.wav", samples)
    for i in range(1, files):
        os.link(first, short / f"{i:07}.wav")
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    found = [Recording(file=str(file), name=str(file)) for file in sorted(short.iterdir())]
    loop_ms = 1000 * plain(replayer, found[: files // 10]).cpu_s / (files // 10)
    os.environ[NOTES] = str(folder / "short-notes")
    spent = heard(replayer, folder / "short-out", found, 1, Tasks(work=hear_and_note))
    worker_ms, weights = noted(folder / "short-notes")
    own_ms = 1000 * spent.own_s / files
    print(
        f"{files} files of {SHORT_S:g} s: {own_ms + worker_ms - loop_ms:.2f} ms each beyond the "
        f"{loop_ms:.2f} ms of hearing"
    )
    early, late = weights[len(weights) // 10], weights[-1]
    print(
        f"memory of a worker: {early:.0f} MiB after a tenth of them, {late:.0f} MiB at the end",
        flush=True,
    )


def noted(path: Path) -> tuple[float, list[float]]:
    """Return what a task took the worker, in ms, once it was under way; and its weights, in MiB."""
    lines = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]
    spent_s = lines[-1][0] - lines[0][0]
    return 1000 * spent_s / (EACH * (len(lines) - 1)), [weight for _, weight in lines]


def two_workers(folder: Path, *, minutes: int) -> None:
    """Compare one worker, two, and a plain loop over the same recordings."""
    season = folder / "season"
    season.mkdir()
    minute = np.resize(soundscape(), MINUTES * 60 * SAMPLE_RATE_HZ)
    for i in range(max(2, minutes // MINUTES)):
        name = f"20240501_{i // 60:02}{i % 60:02}00.wav"
        write_audio(season / name, np.roll(minute, i * 7919), SAMPLE_RATE_HZ, subtype="PCM_16")
    replayer = Replayer(ReplaySettings(bundle=default_bundle_path()))
    found = find_recordings([str(season)]).recordings
    loop = plain(replayer, found)
    one, two = (heard(replayer, folder / f"out{n}", found, n, warm=0) for n in (1, 2))
    audio_s = len(found) * MINUTES * 60
    print(f"plain loop: {audio_s / loop.cpu_s:.0f} s of audio a second")
    print(f"archive, one worker: {100 * (one.cpu_s / loop.cpu_s - 1):+.1f} % of the loop")
    print(
        f"two workers: {one.clock_s / two.clock_s:.2f} times one by the clock, with "
        f"{100 * (two.cpu_s / one.cpu_s - 1):+.1f} % of its work",
        flush=True,
    )


if __name__ == "__main__":
    main()
