"""Has the clusters made anew when there are other unknown events, by a process of its own.

Nothing is done while nobody looks: a look at the page starts it, where that is due.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import edge
from edge.errors import one_line
from edge.extras import how_to_install
from edge.page.clusters import Clusters, read_clusters

__all__ = ["ClusterRuns", "ClusterState"]

log = logging.getLogger(__name__)

# Between runs, in lengths of the last one: so they take a twentieth of one processor at most.
PAUSE = 20
LEAST_PAUSE_S = 10.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """The newest clusters, if any; whether others are being made; and why they cannot be."""

    clusters: Clusters | None
    running: bool = False
    fault: str = ""


class ClusterRuns:
    """Starts the process that groups the events of `store` into `file`, one at a time. Any thread.

    `library` is what it needs to be installed.
    """

    def __init__(
        self,
        store: Path,
        file: Path,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        library: str = "sklearn",
    ) -> None:
        self._store, self._file = store, file
        self._monotonic_s = monotonic_s
        self._library = library
        self._lock = threading.Lock()
        self._running = False
        self._not_before_s = float("-inf")
        self._fault = ""
        self._read: tuple[tuple[int, int, int] | None, Clusters | None] = (None, None)

    def clusters(self) -> Clusters | None:
        """Return the newest clusters."""
        with self._lock:
            return self._newest()

    def look(self, newest: str | None) -> ClusterState:
        """Return what there is, and have it made anew where `newest` is not the event up to which
        it goes; None where there are none.
        """
        with self._lock:
            clusters = self._newest()
            if newest is None or (clusters is not None and clusters.newest == newest):
                return ClusterState(clusters=clusters, running=self._running)
            if importlib.util.find_spec(self._library) is None:
                fault = f"scikit-learn is not installed ({how_to_install('page')})"
                return ClusterState(clusters=clusters, fault=fault)
            if not self._running and self._monotonic_s() >= self._not_before_s:
                self._running, self._fault = True, ""
                threading.Thread(target=self._run, name="clusters", daemon=True).start()
            return ClusterState(clusters=clusters, running=self._running, fault=self._fault)

    def _run(self) -> None:
        began_s = self._monotonic_s()
        fault = one_line(self._run_process())
        if fault:
            log.warning("unknown sounds were not grouped: %s", fault)
        now_s = self._monotonic_s()
        with self._lock:
            self._not_before_s = now_s + max(LEAST_PAUSE_S, PAUSE * (now_s - began_s))
            self._running, self._fault = False, fault

    def _run_process(self) -> str:
        """Have the clusters made; return why they were not, "" where they were."""
        program = (sys.executable, "-m", "edge.page.clustering")
        places = (str(path.resolve()) for path in (self._store, self._file))
        # No program of the folder that the page was started in.
        search = (str(Path(edge.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
        path = os.pathsep.join(part for part in search if part)
        try:
            done = subprocess.run(
                [*program, *places],
                cwd="/",
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as exc:
            return f"the process cannot be started ({exc.strerror or exc})"
        if done.returncode == 0:
            return ""
        if done.returncode == -signal.SIGKILL:
            return "the process was ended: is there too little memory?"
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"the process ended with status {done.returncode}"
        return last.removeprefix("error: ")

    def _newest(self) -> Clusters | None:
        """Return what the file says; it is read again when it is another one."""
        try:
            status = self._file.stat()
        except OSError:
            return None
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if mark != self._read[0]:
            self._read = (mark, read_clusters(self._file))
        return self._read[1]
