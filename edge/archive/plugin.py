"""Leaves a job with every worker of a cluster, those that come later among them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from distributed import Worker, WorkerPlugin

from edge.archive.remote import RemoteJob, install

__all__ = ["JobPlugin"]

# By Dask's `distributed.nanny.pre-spawn-environ`, a worker gives freed memory back to the system
# from 64 KiB on, and by that takes each array anew: each window's arrays are page faults then, and
# hearing takes three times as long. These are what glibc comes to by itself where nothing is set.
TRIMMED = "MALLOC_TRIM_THRESHOLD_"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES, OWN_PAGES_BYTES = 64 << 20, 32 << 20


class JobPlugin(WorkerPlugin):
    """Leaves a job with a worker when it begins."""

    idempotent = True

    def __init__(self, job: RemoteJob) -> None:
        self._job = job

    def setup(self, worker: Worker) -> None:
        """Take the job; its bundles are unpacked by the first task."""
        if TRIMMED in os.environ:
            _keep_freed_memory()
        install(self._job, Path(worker.local_directory, "edge-bundles"))


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library than glibc has other ways
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES)
