"""Workers by Dask's `distributed`: on this machine, or those of a cluster that is there already."""

from __future__ import annotations

import importlib
import logging
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from edge.archive.remote import RemoteJob, refusal
from edge.errors import ConfigError
from edge.scheduler import check_installed, client_of, quieten, refusals

__all__ = ["Cluster", "cluster_at", "local_cluster"]

CLOSED_S = 10.0
COUNTED_S = 5.0
LOCAL = {
    # The first death is told at once: who dies is then asked again alone.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1 GB",
    # Each process looks at itself fifty times a second: 2.7 % of a core in all, with these 0.6 %.
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.system-monitor.interval": "10 s",
}
log = logging.getLogger(__name__)


class Cluster:
    """What a job needs of a cluster: workers that have the job, and run this very program."""

    def __init__(self, client: Any, job: RemoteJob, *, key: str) -> None:
        self.client = client
        self.job_key = job.key
        self.refused: dict[str, str] = {}
        self._key = key
        self._threads, self._counted_s = 0, -math.inf
        client.register_plugin(_plugin(job), name=f"edge-{job.key.digest}")
        self.check()

    def check(self) -> None:
        """See which workers refuse; raises `ConfigError` where all of them do."""
        found = refusals(self.client, refusal, self.job_key.code)
        self.refused |= {address: said for address, said in found.items() if said is not None}
        if found and not found.keys() - self.refused.keys():
            address, reason = next(iter(self.refused.items()))
            raise ConfigError(f"the worker {address} {reason}", key=self._key)

    @property
    def allowed(self) -> list[str] | None:
        """The workers that may be asked; None where all of them may."""
        if not self.refused:
            return None
        return [address for address in self._workers() if address not in self.refused]

    @property
    def threads(self) -> int:
        """How many tasks can run at once; the scheduler is asked now and then."""
        now_s = time.monotonic()
        if now_s >= self._counted_s + COUNTED_S:
            found = self.client.nthreads()
            self._threads = sum(n for address, n in found.items() if address not in self.refused)
            self._counted_s = now_s
        return self._threads

    @property
    def is_there(self) -> bool:
        """Whether the scheduler can be reached."""
        status: str = self.client.status
        return status == "running"

    def _workers(self) -> list[str]:
        return list(self.client.scheduler_info(n_workers=-1)["workers"])


def _close(cluster: Any) -> None:
    """End the processes; Dask fails to join one that it is just starting anew, which ends with this
    process.
    """
    try:
        cluster.close(timeout=CLOSED_S)
    except Exception as exc:  # of any kind, and never in place of what ended the job
        log.warning("the processes that heard were not closed as they should be: %r", exc)


@contextmanager
def local_cluster(job: RemoteJob, *, workers: int) -> Iterator[Cluster]:
    """Give so many processes of this machine, each with one thread; they end with this one."""
    check_installed()
    with ExitStack() as stack:
        dask: Any = importlib.import_module("dask")
        stack.enter_context(dask.config.set(LOCAL))
        distributed: Any = importlib.import_module("distributed")
        quieten()
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        stack.callback(_close, cluster)
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        yield Cluster(client, job, key="--workers")


@contextmanager
def cluster_at(address: str, job: RemoteJob) -> Iterator[Cluster]:
    """Give the workers of the scheduler at `address`, which stay when this is done.

    Raises `ConfigError` where it cannot be reached, has no workers, or all of them run another
    version of this program.
    """
    with client_of(address) as client:
        yield Cluster(client, job, key=f"--scheduler = {address}")


def _plugin(job: RemoteJob) -> Any:
    """Return what leaves a job with every worker, those that come later among them."""
    from edge.archive.plugin import JobPlugin

    return JobPlugin(job)
