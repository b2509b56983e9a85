"""A job on a cluster whose client, workers and scheduler are killed at random, again and again.

    python -m tests.support.archive_kills --kills 20 --seed 1

The rows in the end are those of a run that nobody disturbed, or it ends with a status of 1.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge.archive.parts import Parts
from tests.support.archives import job, season, timeless
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle
from tests.support.clusters import DaskCluster, dask_cluster

__all__ = ["VICTIMS", "disturbed", "long_recording", "until"]

VICTIMS = ("client", "worker", "scheduler")
OPTIONS = ("--hop-s", "0.05", "--task", "9")
FILES_A_KILL = 4  # so that there is work left for the next one


def until(condition: Callable[[], bool], within_s: float = 90.0) -> None:
    """Wait for a condition; fails where it does not come."""
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def long_recording(pond: Path) -> str:
    """Write a recording that is cut into several tasks."""
    return write_audio(pond / "20240502_050000.wav", np.concatenate([soundscape()] * 3))


def disturbed(
    given: Sequence[str | Path], dataset: Path, folder: Path, victims: Sequence[str], seed: int
) -> Counter[str]:
    """Fill `dataset` by jobs on a cluster in `folder`, of which one after the other of `victims` is
    killed, each soon after a part was written. Return who was killed while there was work.
    """
    dice = random.Random(seed)
    killed: Counter[str] = Counter()
    with dask_cluster(folder, workers=2) as cluster:
        for victim in victims:
            with job(*given, "--out", dataset, "--scheduler", cluster.address) as process:
                before = len(Parts(dataset).names())
                until(lambda: len(Parts(dataset).names()) > before or process.poll() is not None)  # noqa: B023
                time.sleep(dice.uniform(0.0, 0.1))
                killed[victim] += process.poll() is None
                if victim == "worker":
                    _kill_one(cluster, dice)
                    time.sleep(dice.uniform(0.0, 1.0))
                elif victim == "scheduler":
                    _kill_scheduler(cluster)
                    _, said = process.communicate(timeout=60)
                    if process.returncode:
                        assert "the scheduler of the workers is gone" in said, said
                        assert said.count("\n") == 1, said
                    cluster.restart()
        with job(*given, "--out", dataset, "--scheduler", cluster.address) as process:
            _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    return killed


def _kill_one(cluster: DaskCluster, dice: random.Random) -> None:
    """Kill a worker, as the kernel does that has no memory left."""
    pids = cluster.worker_pids()
    if pids:
        os.kill(dice.choice(pids), signal.SIGKILL)


def _kill_scheduler(cluster: DaskCluster) -> None:
    os.kill(cluster.scheduler.pid, signal.SIGKILL)
    cluster.scheduler.wait()


def main() -> None:
    """Kill so many times, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    victims = [dice.choice(VICTIMS) for _ in range(arguments.kills)]
    with tempfile.TemporaryDirectory(prefix="edge-kills-") as name:
        folder, began_s = Path(name), time.monotonic()
        season(folder / "pond", FILES_A_KILL * arguments.kills)
        long_recording(folder / "pond")
        given = (folder / "pond", "--bundle", tiny_bundle(folder / "tiny").path, *OPTIONS)
        killed = disturbed(given, folder / "out", folder / "cluster", victims, arguments.seed)
        print(f"killed at work: {dict(killed)}, in {time.monotonic() - began_s:.0f} s", flush=True)
        with job(*given, "--out", folder / "undisturbed") as process:
            _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
        alike = timeless(folder / "out") == timeless(folder / "undisturbed")
        files = len(timeless(folder / "out")[1])
    print(f"rows of {files} recordings: {'' if alike else 'NOT '}those of an undisturbed run")
    sys.exit(not alike)


if __name__ == "__main__":
    main()
