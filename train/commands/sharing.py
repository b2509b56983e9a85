"""Runs of a plan done one after the other, by processes of this machine, or by those of a cluster.

A cluster is one of Dask's `distributed`: its workers see the same folders as this machine, and run
the very same program. A run that was on a worker that died goes on, on another one, from its last
checkpoint.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import ConfigError, EdgeError, UserError
from edge.scheduler import another_version, client_of, refusals
from train.export.version import program_digest

__all__ = ["Sharing", "finished", "shared"]

LOOKS_S = 1.0  # how often it is seen whether the scheduler is there
Outcome = TypeVar("Outcome")
Call = tuple[Any, ...]

_alone = threading.Lock()  # torch's random numbers are those of a process


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """By whom runs are done: `jobs` processes here, or the workers of the scheduler at an address.

    `sees` are the files that every worker must see as this machine does.
    """

    jobs: int = 1
    scheduler: str = ""
    sees: tuple[Path, ...] = ()


def shared(
    work: Callable[..., Outcome], calls: Sequence[Call], sharing: Sharing
) -> Iterator[Outcome | BaseException]:
    """Yield what `work` returns for each of `calls`, or raises, as it is done.

    Raises `ConfigError` for a cluster that cannot do it, and `UserError` when the processes or the
    scheduler are gone.
    """
    if sharing.scheduler:
        with client_of(sharing.scheduler) as client:
            _check_workers(client, sharing)
            workers, code = client.get_executor(pure=False), program_digest()
            futures = [workers.submit(_there, code, work, call) for call in calls]
            yield from _as_done(futures, is_there=lambda: client.status == "running")
    elif sharing.jobs == 1:
        for call in calls:
            yield _here(work, call)
    else:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(sharing.jobs, mp_context=spawn) as pool:
            yield from _as_done([pool.submit(work, *call) for call in calls])


def finished(
    work: Callable[..., Outcome], calls: Sequence[Call], sharing: Sharing
) -> Iterator[Outcome]:
    """Yield what is done as `shared` does; raises the first failure when all others are done."""
    failed: list[BaseException] = []
    for outcome in shared(work, calls, sharing):
        if isinstance(outcome, BaseException):
            failed.append(outcome)
        else:
            yield outcome
    if failed:
        raise failed[0]


def _here(work: Callable[..., Outcome], call: Call) -> Outcome | BaseException:
    try:
        return work(*call)
    except (EdgeError, OSError) as exc:
        return exc


def _there(code: str, work: Callable[..., Outcome], call: Call) -> Outcome:
    """Do one of the calls on this worker, which does one at a time, for a client of this `code`."""
    if (reason := _refusal(code, ())) is not None:
        raise UserError(
            f"a worker that came later {reason}; what is missing is done by running the "
            "same command again"
        )
    with _alone:
        return work(*call)


def _as_done(
    futures: Sequence[Future[Outcome]], *, is_there: Callable[[], bool] = lambda: True
) -> Iterator[Outcome | BaseException]:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=LOOKS_S, return_when="FIRST_COMPLETED")
        if not is_there() or any(future.cancelled() for future in done):
            raise UserError(
                "the scheduler of the workers is gone; run the same command again once there is "
                "one: finished runs are kept, begun ones go on"
            )
        for future in done:
            failure = future.exception()
            yield future.result() if failure is None else _explained(failure)


def _explained(failure: BaseException) -> BaseException:
    """Return the failure of a run, of processes that have died in words."""
    if not isinstance(failure, BrokenProcessPool) and type(failure).__name__ != "KilledWorker":
        return failure
    died = UserError(
        "a process died, perhaps for lack of memory; run the same command again, with fewer at once"
    )
    died.__cause__ = failure
    return died


def _check_workers(client: Any, sharing: Sharing) -> None:
    """Raise `ConfigError` where a worker would not do the same as this process."""
    sees = tuple(file.absolute() for file in sharing.sees)
    for worker, reason in refusals(client, _refusal, program_digest(), sees).items():
        if reason is not None:
            raise ConfigError(
                f"the worker {worker} {reason}; mend or stop it",
                key="--scheduler",
                value=sharing.scheduler,
            )


def _refusal(code: str, sees: Sequence[Path]) -> str | None:
    """Return why this worker does no run for a client whose program has the digest `code`."""
    if (reason := another_version(program_digest(), code)) is not None:
        return reason
    missing = [file for file in sees if not file.exists()]
    return f"does not see {missing[0]}, which all must share" if missing else None
