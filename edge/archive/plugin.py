"""Leaves a job with every worker of a cluster, those that come later among them."""

from __future__ import annotations

from pathlib import Path

from distributed import Worker, WorkerPlugin

from edge.archive.memory import keep_for_arrays
from edge.archive.remote import RemoteJob, install

__all__ = ["JobPlugin"]


class JobPlugin(WorkerPlugin):
    """Leaves a job with a worker when it begins."""

    idempotent = True

    def __init__(self, job: RemoteJob) -> None:
        self._job: RemoteJob | None = job

    def setup(self, worker: Worker) -> None:
        """Take the job; its bundles are unpacked by the first task."""
        keep_for_arrays()
        if self._job is not None:
            install(self._job, Path(worker.local_directory, "edge-bundles"))
            self._job = None  # so that the content of its bundles does not stay in memory
