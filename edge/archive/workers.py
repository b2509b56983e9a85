"""Processes that hear recordings, of which one may die without harm to anything but its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edge.archive.fingerprint import Fingerprint
from edge.archive.hearing import Hearing
from edge.errors import BackendError
from edge.replay.recordings import Recording
from edge.replay.replay import process_pool
from edge.replay.settings import ReplaySettings

__all__ = ["Asked", "Died", "Pools", "Work", "Workers", "pools_of"]

Work = Callable[[Recording], Hearing]
IN_FLIGHT = 2  # recordings for each process, so that none waits for the next


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A recording to hear, and its fingerprint from before."""

    recording: Recording
    fingerprint: Fingerprint | None


class Died:
    """The outcome of a recording on which a process has died that had nothing else to do."""


class Pools(Protocol):
    """Makes pools of so many processes, ready for `Workers`' work."""

    def __call__(self, *, workers: int) -> ProcessPoolExecutor: ...


def pools_of(settings: ReplaySettings) -> Pools:
    """Return what makes processes that replay with `settings`."""
    return partial(process_pool, settings)


class Workers:
    """So many processes that answer in the order in which they are done, each with its own model.

    No more than a few recordings are with them at a time. When a process dies, those that were
    with the others are asked again, each alone: the one that kills a process of its own has `Died`.
    """

    def __init__(self, pools: Pools, workers: int, work: Work) -> None:
        self._pools = pools
        self._workers = workers
        self._work = work
        self._pool = pools(workers=workers)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def answers(self, asked: Iterator[Asked]) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Yield what is asked with its outcome; `asked` is read as there is room for it.

        Raises `BackendError` when processes die before they have begun.
        """
        waiting: dict[Future[Hearing], Asked] = {}
        for one in asked:
            waiting[self._submitted(one)] = one
            if len(waiting) >= IN_FLIGHT * self._workers:
                yield from self._answered(waiting)
        while waiting:
            yield from self._answered(waiting)

    def _answered(
        self, waiting: dict[Future[Hearing], Asked]
    ) -> Iterator[tuple[Asked, Hearing | Died]]:
        """Take from `waiting` and yield what is done, at least one."""
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        if any(map(_is_lost, done)):
            done, _ = wait(waiting)  # none of them has a process any more
        lost = []
        for future in done:
            one = waiting.pop(future)
            if _is_lost(future):
                lost.append(one)
            else:
                yield one, future.result()
        if lost:
            for one in lost:
                yield one, self._alone(one)
            self._renew(self._workers)

    def _alone(self, one: Asked) -> Hearing | Died:
        """Return the outcome by a process that has nothing else to do."""
        self._renew(1)
        try:
            self._pool.submit(_ready).result()
        except BrokenProcessPool as exc:
            reason = (
                "the processes that hear die before they have begun, perhaps for lack of memory"
            )
            raise BackendError(f"{reason}: try fewer --workers") from exc
        future = self._submitted(one)
        wait([future])
        return Died() if _is_lost(future) else future.result()

    def _renew(self, workers: int) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._pool = self._pools(workers=workers)

    def _submitted(self, one: Asked) -> Future[Hearing]:
        try:
            return self._pool.submit(self._work, one.recording)
        except BrokenProcessPool as exc:
            future: Future[Hearing] = Future()
            future.set_exception(exc)
            return future


def _is_lost(future: Future[Hearing]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _ready() -> None:
    """Show that a process has begun."""
