"""A Dask scheduler and workers as real processes, of which any may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["ROOT", "DaskCluster", "dask_cluster"]

ROOT = Path(__file__).resolve().parents[2]
STARTS_S = 60.0


class DaskCluster:
    """A scheduler on loopback, and workers of one thread, as started by the `dask` command.

    A nanny starts a worker anew that has died.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return f"tcp://127.0.0.1:{self._port}"

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, again at the same place once it had one."""
        log = self._folder / f"scheduler{len(self._processes)}.log"
        port = getattr(self, "_port", 0)
        arguments = (
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--dashboard-address",
            "127.0.0.1:0",
        )
        process = self._start("scheduler", *arguments, log=log)
        ends_s = time.monotonic() + STARTS_S
        while "Scheduler at:" not in log.read_text():
            assert time.monotonic() < ends_s, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        line = log.read_text().split("Scheduler at:")[1].split()[0]
        self._port = int(line.rpartition(":")[2])
        return process

    def start_worker(self, *, code: Path = ROOT) -> subprocess.Popen[bytes]:
        """Start a worker that runs the program in the folder `code`."""
        count = len(self._processes)
        arguments = (
            *("--nthreads", "1", "--memory-limit", "0", "--no-dashboard"),
            *("--local-directory", str(self._folder / f"worker{count}")),
        )
        log = self._folder / f"worker{count}.log"
        return self._start("worker", self.address, *arguments, log=log, code=code)

    def worker_pids(self) -> list[int]:
        """Return the processes that hear: the children of the nannies."""
        pids = []
        for process in self._processes:
            if process is not self.scheduler and process.poll() is None:
                for children in Path(f"/proc/{process.pid}/task").glob("*/children"):
                    pids += [pid for pid in map(int, children.read_text().split()) if _hears(pid)]
        return pids

    def restart(self) -> None:
        """Start all of it anew, as whoever runs a cluster does when its scheduler has died: its
        workers end with it.
        """
        count = sum(process.poll() is None for process in self._processes)
        self.stop()
        self.scheduler = self.start_scheduler()
        for _ in range(count):
            self.start_worker()

    def stop(self) -> None:
        """Kill all of it."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self, what: str, *arguments: str, log: Path, code: Path = ROOT
    ) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": f"{code}{os.pathsep}{ROOT}"},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def _hears(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


@contextmanager
def dask_cluster(folder: Path, *, workers: int = 1) -> Iterator[DaskCluster]:
    """Give a scheduler with so many workers; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder)
    try:
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()
