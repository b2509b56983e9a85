"""What an archive costs beyond hearing: printed by `make bench`, a line for each number.

Seconds are of the clock where they say so, and of processors elsewhere: these are the same on a
machine that has other work.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edge.archive.export import Export, ExportChoice
from edge.archive.hear import ArchiveJob
from edge.archive.remote import Tasks
from edge.archive.status import status_lines
from edge.bench.measuring import peak_rss_mib
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
MINUTES = 30  # of a long recording
IN_FLIGHT = 8  # tasks that are under way at a time
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
    parser.add_argument("--tasks", type=int, default=100_000, help="recordings that hear nothing")
    parser.add_argument("--hours", type=float, default=4.0, help="of audio for the default bundle")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparisons")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        tasks(Path(name), count=arguments.tasks)
        short_files(Path(name), files=arguments.files)
        long_files(Path(name), hours=arguments.hours, rounds=arguments.rounds)


def spent_on(what: Callable[[], object]) -> Spent:
    """Return what it takes."""
    began = Spent.now()
    what()
    return Spent.now() - began


def heard(
    replayer: Replayer, out: Path, found: Found, workers: int = 1, tasks: Tasks | None = None
) -> Spent:
    """Return what a job takes over all that is found, the start of its processes included."""
    job = ArchiveJob(replayer, out, tasks=tasks)
    return spent_on(lambda: job.run(found, workers=workers))


def plain(replayer: Replayer, found: Found) -> Spent:
    """Return what a loop takes that hears and forgets."""
    return spent_on(lambda: [replayer.outcome(one) for one in found if isinstance(one, Recording)])


def tasks(folder: Path, *, count: int) -> None:
    """Measure what a recording costs that is not heard, alone in its task and among others."""
    replayer = Replayer(ReplaySettings(bundle=tiny_bundle(folder / "other").path))
    os.environ[CANNED] = write_audio(folder / "canned.wav", tones())
    os.environ[NOTES] = str(folder / "tasks-notes")
    work = Tasks(work=deaf)
    found = [Recording(file=f"/nowhere/{i:07}.wav", name="") for i in range(count)]
    start = heard(replayer, folder / "start-out", found[:1], 1, work)
    spent = heard(replayer, folder / "tasks-out", found, 1, work) - start
    worker_ms, _ = noted(folder / "tasks-notes")
    print(
        f"{count} recordings not heard: {1000 * spent.own_s / count:.2f} ms each in client, "
        f"{worker_ms:.2f} ms in the worker; {1000 * spent.clock_s / count:.2f} ms by the "
        f"clock; client {peak_rss_mib():.0f} MiB",
        flush=True,
    )
    lone_tasks(count)


def lone_tasks(count: int) -> None:
    """Measure what a task costs the client and its scheduler that does nothing."""
    distributed: Any = importlib.import_module("distributed")  # which has no types

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.submit(os.getpid, pure=False).result()
        spent = spent_on(lambda: in_turn(client, count))
    print(
        f"{count} tasks alone: {1000 * spent.own_s / count:.2f} ms each in client and scheduler, "
        f"{1000 * spent.clock_s / count:.2f} ms by the clock",
        flush=True,
    )


def in_turn(client: Any, count: int) -> None:
    """Run so many tasks, of which a few are under way at a time."""
    under_way = [client.submit(os.getpid, pure=False) for _ in range(IN_FLIGHT)]
    for i in range(count):
        under_way[i % IN_FLIGHT].result()
        under_way[i % IN_FLIGHT] = client.submit(os.getpid, pure=False)


def short_files(folder: Path, *, files: int) -> None:
    """Measure what a short file costs beyond hearing it, how memory grows, and what comes after."""
    short = folder / "short"
    short.mkdir()
    bundle = tiny_bundle(folder / "tiny")
    samples = tones()[: round(SHORT_S * bundle.frontend.sample_rate_hz)]
    content = Path(write_audio(folder / "20240501_000000.wav", samples)).read_bytes()
    for i in range(files):
        (short / f"{i:07}.wav").write_bytes(content)
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    found = find_recordings([str(short)]).recordings
    few = found[: max(1, files // 20)]
    loop_ms = 1000 * plain(replayer, few).cpu_s / len(few)
    os.environ[NOTES] = str(folder / "short-notes")
    out, work = folder / "short-out", Tasks(work=hear_and_note)
    start = heard(replayer, folder / "short-start", found[:1], 1, work)
    spent = heard(replayer, out, found, 1, work) - start
    worker_ms, weights = noted(folder / "short-notes")
    own_ms = 1000 * spent.own_s / files
    print(
        f"{files} files of {SHORT_S:g} s: {own_ms + worker_ms - loop_ms:.2f} ms each beyond the "
        f"{loop_ms:.2f} ms of hearing; {spent.clock_s:.0f} s by the clock"
    )
    early, late = weights[len(weights) // 10], weights[-1]
    print(
        f"memory of a worker: {early:.0f} MiB after a tenth of them, {late:.0f} MiB at the end; of "
        f"the client: {peak_rss_mib():.0f} MiB",
        flush=True,
    )
    choice = ExportChoice(form="csv", out=str(folder / "short.csv"))
    again = heard(replayer, out, found, 1, work)
    status = spent_on(lambda: list(status_lines(out)))
    export = spent_on(lambda: Export(out, choice).write())
    print(
        f"again, with nothing to do: {again.clock_s:.1f} s; status: {status.clock_s:.1f} s; "
        f"export: {export.clock_s:.1f} s",
        flush=True,
    )


def noted(path: Path) -> tuple[float, list[float]]:
    """Return what a task took the worker, in ms, once it was under way; and its weights, in MiB."""
    lines = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]
    spent_s = lines[-1][0] - lines[0][0]
    return 1000 * spent_s / (EACH * (len(lines) - 1)), [weight for _, weight in lines]


def long_files(folder: Path, *, hours: float, rounds: int) -> None:
    """Compare one worker, two, and a plain loop over the same long recordings, in turn."""
    season = folder / "season"
    season.mkdir()
    minute = np.resize(soundscape(), 60 * SAMPLE_RATE_HZ)
    for i in range(max(2, round(60 * hours / MINUTES))):
        samples = np.tile(np.roll(minute, i * 7919), MINUTES)
        name = f"202405{1 + i // 24:02}_{i % 24:02}0000.wav"
        write_audio(season / name, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    replayer = Replayer(ReplaySettings(bundle=default_bundle_path()))
    found = find_recordings([str(season)]).recordings
    second = write_audio(folder / "second.wav", minute[: 6 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
    begun = [Recording(file=second, name=second)]
    loops, starts, ones, twos = list[Spent](), list[Spent](), list[Spent](), list[Spent]()
    for i in range(rounds):
        loops.append(plain(replayer, found))
        starts.append(heard(replayer, folder / f"out0-{i}", begun, 2))
        ones.append(heard(replayer, folder / f"out1-{i}", found, 1))
        twos.append(heard(replayer, folder / f"out2-{i}", found, 2))
    audio_s = len(found) * MINUTES * 60
    print(f"plain loop: {audio_s / median(s.cpu_s for s in loops):.0f} s of audio a CPU second")
    cpu, clock = (_percent(ones, loops, name) for name in ("cpu_s", "clock_s"))
    print(f"archive, one worker: {cpu} of its CPU, {clock} of the clock, start included")
    print(
        f"start of two workers: {median(s.clock_s for s in starts):.1f} s, "
        f"{median(s.cpu_s for s in starts):.1f} s CPU"
    )
    faster = median(a.clock_s / b.clock_s for a, b in zip(ones, twos, strict=True))
    apart = [(a - s, b - s) for a, b, s in zip(ones, twos, starts, strict=True)]
    print(
        f"two workers: {faster:.2f} times one by the clock, "
        f"{median(a.clock_s / b.clock_s for a, b in apart):.2f} without the start, with "
        f"{_percent(twos, ones, 'cpu_s')} of its CPU",
        flush=True,
    )


def _percent(some: Sequence[Spent], others: Sequence[Spent], name: str) -> str:
    """Return by how much `some` took more than `others`, each beside the one of its round."""
    ratios = (getattr(a, name) / getattr(b, name) for a, b in zip(some, others, strict=True))
    return f"{100 * (median(ratios) - 1):+.1f} %"


if __name__ == "__main__":
    main()
