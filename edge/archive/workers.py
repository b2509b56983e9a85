"""Recordings shared among workers, of which one may die without harm to anything but its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.archive.cluster import Cluster
from edge.archive.fingerprint import Fingerprint
from edge.archive.hearing import Hearing
from edge.archive.keeping import Keeps
from edge.archive.remote import RefusedError, Tasks, hear_there, join_there, stretch_there
from edge.archive.stretches import Stretch
from edge.errors import BackendError, UserError
from edge.replay.recordings import Recording

__all__ = ["Asked", "Died", "Workers"]

Future = Any  # of distributed, which has no types for it
IN_FLIGHT = 8  # tasks for each thread, so that none waits for the next, however short they are
LOOKS_S = 1.0  # how often it is seen whether the scheduler is there


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A recording to hear, its fingerprint from before, and the stretches that it is cut into."""

    recording: Recording
    fingerprint: Fingerprint | None
    stretches: tuple[Stretch, ...] = ()

    @property
    def tasks(self) -> int:
        """How many tasks it is."""
        return 1 + len(self.stretches)


class Died:
    """The outcome of a recording on which a process has died that had nothing else to do."""


class Workers:
    """The workers of a cluster, which answer in the order in which they are done.

    No more than a few recordings are with them at a time. When a process dies, those that it had
    are asked again, each alone: the one that kills a process of its own has `Died`. `warn` is told
    of workers that are not used.
    """

    def __init__(
        self,
        cluster: Cluster,
        keeps: Keeps,
        tasks: Tasks,
        warn: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._keeps = keeps
        self._tasks = tasks
        self._warn = warn
        self._waiting: dict[Future, Asked] = {}
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for address, reason in cluster.refused.items():
            warn(f"the worker {address} {reason}: it is not used")

    def answers(self, asked: Iterator[Asked]) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield what is asked with its outcome; `asked` is read as there is room for it.

        Raises `BackendError` when processes die before they have begun, `UserError` when the
        scheduler is gone.
        """
        tasks, room = 0, IN_FLIGHT * max(1, self._cluster.threads)
        for one in asked:
            self._submit(one)
            tasks += one.tasks
            while tasks >= room:
                for answered in self._answered():
                    tasks -= answered[0].tasks
                    yield answered
                room = IN_FLIGHT * max(1, self._cluster.threads)
        while self._waiting:
            yield from self._answered()

    def _answered(self) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield what is done next."""
        one, outcome = self._next()
        if not isinstance(outcome, Died):
            yield one, outcome
            return
        suspects = [one]
        while self._waiting:  # so that a suspect is alone
            other, outcome = self._next()
            if isinstance(outcome, Died):
                suspects.append(other)
            else:
                yield other, outcome
        for suspect in suspects:
            yield suspect, self._alone(suspect)

    def _alone(self, one: Asked) -> Hearing | Died:
        """Return the outcome by a worker that has nothing else to do."""
        ready = self._cluster.client.submit(self._tasks.ready, self._cluster.job_key, pure=False)
        error = ready.exception()
        if error is not None and _is_death(error):
            reason = (
                "the processes that hear die before they have begun, perhaps for lack of memory"
            )
            raise BackendError(f"{reason}: try fewer --workers") from error
        self._submit(one)
        return self._next()[1]

    def _submit(self, one: Asked) -> None:
        cluster, key = self._cluster, self._cluster.job_key
        options: dict[str, Any] = {"pure": False}
        if (allowed := cluster.allowed) is not None:
            options["workers"] = allowed
        submit = cluster.client.submit
        recording, keeps, stretches = one.recording, self._keeps, one.stretches
        if stretches:
            heard: Sequence[Future] = [
                submit(stretch_there, key, recording, stretch, keeps, **options)
                for stretch in stretches
            ]
            future = submit(join_there, key, recording, stretches, keeps, *heard, **options)
        else:
            future = submit(hear_there, key, self._tasks.work, recording, keeps, **options)
        self._waiting[future] = one
        future.add_done_callback(self._done.put)

    def _next(self) -> tuple[Asked, Hearing | Died]:
        """Return what is done next, once it is a recording that no worker has refused."""
        while True:
            future = self._wait()
            one = self._waiting.pop(future)
            error = None if future.status == "finished" else future.exception()
            if error is None:
                return one, future.result()
            if _is_death(error):
                return one, Died()
            if not isinstance(error, RefusedError):
                raise error
            before = set(self._cluster.refused)
            self._cluster.check()
            for address in self._cluster.refused.keys() - before:
                self._warn(f"the worker {address} {error}: it is not used")
            self._submit(one)

    def _wait(self) -> Future:
        while True:
            try:
                future = self._done.get(timeout=LOOKS_S)
            except queue.Empty:
                future = None
            if not self._cluster.is_there or (future is not None and future.cancelled()):
                raise UserError(
                    "the scheduler of the workers is gone; what was heard is in the dataset",
                    suggestion="run it again once there is one",
                )
            if future is not None:
                return future


def _is_death(error: BaseException) -> bool:
    """Return whether workers have died on a task."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)
