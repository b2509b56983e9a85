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
from edge.errors import BackendError, EdgeError, UserError
from edge.replay.recordings import Recording

__all__ = ["Asked", "Died", "Workers"]

Future = Any  # of distributed, which has no types for it
IN_FLIGHT = 8  # tasks for each thread, so that none waits for the next, however short they are
# Short recordings are heard several in a task, which costs more than a look at one of them. So much
# of a file is some seconds of sound; what a kill costs stays small.
MOST_TOGETHER, MOST_BYTES_TOGETHER = 32, 2_000_000
LOOKS_S = 1.0  # how often it is seen whether the scheduler is there


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A recording to hear, its fingerprint from before, and the stretches that it is cut into."""

    recording: Recording
    fingerprint: Fingerprint | None
    stretches: tuple[Stretch, ...] = ()

    @property
    def size_bytes(self) -> int:
        """How large its file is; 0 where nothing could be read."""
        return 0 if self.fingerprint is None else self.fingerprint.size_bytes


Batch = tuple[Asked, ...]


class Died:
    """The outcome of a recording on which a process has died that had nothing else to do."""


class Workers:
    """The workers of a cluster, which answer in the order in which they are done.

    No more than a few recordings are with them at a time, short ones several in a task. When a
    process dies, those that it had are asked again, each alone: the one that kills a process of its
    own has `Died`. `warn` is told of workers that are not used.
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
        self._waiting: dict[Future, Batch] = {}
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for address, reason in cluster.refused.items():
            warn(f"the worker {address} {reason}: it is not used")

    def answers(self, asked: Iterator[Asked]) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield what is asked with its outcome; `asked` is read as there is room for it.

        Raises `BackendError` when processes die before they have begun, `UserError` when the
        scheduler is gone, at whatever moment of talking to it that shows.
        """
        try:
            yield from self._answers(asked)
        except Exception as exc:
            # Dask has several errors for it, and more of Python's come through.
            if isinstance(exc, EdgeError) or not (_is_hung_up(exc) or not self._cluster.is_there):
                raise
            raise _gone() from exc

    def _answers(self, asked: Iterator[Asked]) -> Iterator[tuple[Asked, Hearing | Died]]:
        for batch in batches_of(asked):
            self._submit(batch)
            while self._tasks_waiting >= IN_FLIGHT * max(1, self._cluster.threads):
                yield from self._answered()
        while self._waiting:
            yield from self._answered()

    @property
    def _tasks_waiting(self) -> int:
        return sum(1 + len(batch[0].stretches) for batch in self._waiting.values())

    def _answered(self) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield what is done next."""
        suspects: list[Asked] = []
        yield from self._answered_by(*self._next(), suspects)
        while suspects and self._waiting:  # so that a suspect is alone
            yield from self._answered_by(*self._next(), suspects)
        for suspect in suspects:
            yield suspect, self._alone(suspect)

    def _answered_by(
        self, batch: Batch, outcomes: list[Hearing] | Died, suspects: list[Asked]
    ) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield a batch with its outcomes; where a process has died, all of it are `suspects`."""
        if isinstance(outcomes, Died):
            suspects += batch
        else:
            yield from zip(batch, outcomes, strict=True)

    def _alone(self, one: Asked) -> Hearing | Died:
        """Return the outcome by a worker that has nothing else to do."""
        ready = self._cluster.client.submit(self._tasks.ready, self._cluster.job_key, pure=False)
        error = ready.exception()
        if error is not None and _is_death(error):
            reason = (
                "the processes that hear die before they have begun, perhaps for lack of memory"
            )
            raise BackendError(f"{reason}: try fewer --workers") from error
        self._submit((one,))
        outcomes = self._next()[1]
        return outcomes if isinstance(outcomes, Died) else outcomes[0]

    def _submit(self, batch: Batch) -> None:
        cluster, key = self._cluster, self._cluster.job_key
        options: dict[str, Any] = {"pure": False}
        if (allowed := cluster.allowed) is not None:
            options["workers"] = allowed
        submit = cluster.client.submit
        recordings, keeps = [one.recording for one in batch], self._keeps
        if stretches := batch[0].stretches:
            recording = recordings[0]
            heard: Sequence[Future] = [
                submit(stretch_there, key, recording, stretch, keeps, **options)
                for stretch in stretches
            ]
            future = submit(join_there, key, recording, stretches, keeps, *heard, **options)
        else:
            future = submit(hear_there, key, self._tasks.work, recordings, keeps, **options)
        self._waiting[future] = batch
        future.add_done_callback(self._done.put)

    def _next(self) -> tuple[Batch, list[Hearing] | Died]:
        """Return what is done next, once it is a task that no worker has refused."""
        while True:
            future = self._wait()
            batch = self._waiting.pop(future)
            error = None if future.status == "finished" else future.exception()
            if error is None:
                return batch, future.result()
            if _is_death(error):
                return batch, Died()
            if not isinstance(error, RefusedError):
                raise error
            before = set(self._cluster.refused)
            self._cluster.check()
            for address in self._cluster.refused.keys() - before:
                self._warn(f"the worker {address} {error}: it is not used")
            self._submit(batch)

    def _wait(self) -> Future:
        while True:
            try:
                future = self._done.get(timeout=LOOKS_S)
            except queue.Empty:
                future = None
            if not self._cluster.is_there or (future is not None and future.cancelled()):
                raise _gone()
            if future is not None:
                return future


def batches_of(asked: Iterator[Asked]) -> Iterator[Batch]:
    """Yield what is asked in its order, short recordings that follow each other together."""
    together: list[Asked] = []
    size_bytes = 0
    for one in asked:
        size_bytes += one.size_bytes
        full = len(together) == MOST_TOGETHER or size_bytes > MOST_BYTES_TOGETHER
        if together and (full or one.stretches):
            yield tuple(together)
            together, size_bytes = [], one.size_bytes
        together.append(one)
        if one.stretches:
            yield tuple(together)
            together, size_bytes = [], 0
    if together:
        yield tuple(together)


def _gone() -> UserError:
    return UserError(
        "the scheduler of the workers is gone; what was heard is in the dataset",
        suggestion="run it again once there is one",
    )


def _is_hung_up(error: BaseException) -> bool:
    """Return whether the scheduler went away while it was spoken to."""
    from distributed import CancelledError
    from distributed.comm.core import CommClosedError

    return isinstance(error, CancelledError | CommClosedError)


def _is_death(error: BaseException) -> bool:
    """Return whether workers have died on a task."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)
