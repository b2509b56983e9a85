"""Many recordings, in turn or among processes; one that fails does not stop the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from edge.errors import AudioError
from edge.replay.recordings import Recording
from edge.replay.replayer import Outcome, Progress, Replayer
from edge.replay.settings import ReplaySettings

__all__ = ["outcome_in_worker", "replay"]

Work = Callable[[Recording, Path | None], Outcome]
Asked = tuple[Recording | AudioError, Path | None]


def replay(
    replayer: Replayer,
    recordings: Sequence[Recording | AudioError],
    *,
    workers: int = 1,
    progress: Progress = lambda fraction: None,
    work: Work | None = None,
    in_order: bool = True,
) -> Generator[Outcome, None, None]:
    """Yield outcomes in the order of `recordings`, however many processes there are; where not
    `in_order`, each as soon as it is there.

    A spool lives until the next outcome is asked for. `work` is what a process does with a
    recording, if not what `Replayer.outcome` does. Who may leave before the end closes this, and
    with it end the workers and the folder of spools.
    """
    workers = min(workers, len(recordings))
    with tempfile.TemporaryDirectory(prefix="edge-replay-") as folder, ExitStack() as stack:
        spools: list[Path | None] = [None] * len(recordings)
        if replayer.settings.spool:
            spools = [Path(folder, str(i)) for i in range(len(recordings))]
        if workers > 1:
            work = work or outcome_in_worker
            pool = stack.enter_context(_Workers(replayer.settings, workers, work))
            asked = list(zip(recordings, spools, strict=True))
            outcomes = pool.outcomes(asked) if in_order else pool.as_they_come(asked)
        else:
            outcomes = _outcomes(replayer, recordings, spools, progress)
        for i, outcome in outcomes:
            yield outcome
            spool = spools[i]
            if spool is not None:
                spool.unlink(missing_ok=True)


def _outcomes(
    replayer: Replayer,
    recordings: Sequence[Recording | AudioError],
    spools: Sequence[Path | None],
    progress: Progress,
) -> Iterator[tuple[int, Outcome]]:
    for done, (recording, spool) in enumerate(zip(recordings, spools, strict=True)):
        if isinstance(recording, AudioError):
            yield done, recording
        else:
            advance = partial(_advance, progress, done)
            yield done, replayer.outcome(recording, spool=spool, progress=advance)


def _advance(progress: Progress, done: int, fraction: float) -> None:
    progress(done + fraction)


class _Workers:
    """Worker processes, each with its own model.

    When one dies, all that was not answered is asked again, the first of it alone: a recording that
    kills a process of its own fails, and the others go on.
    """

    def __init__(self, settings: ReplaySettings, workers: int, work: Work) -> None:
        self._settings = settings
        self._work = work
        self._workers = workers
        self._pool = self._fresh_pool(workers)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def outcomes(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Outcome]]:
        """Yield places in `asked` and their outcomes, in order."""
        futures = [self._ask(*pair) for pair in asked]
        for i, (recording, spool) in enumerate(asked):
            if isinstance(recording, AudioError):
                yield i, recording
                continue
            try:
                yield i, _answer(futures[i])
            except BrokenProcessPool:
                yield i, self._alone(recording, spool)
                self._pool = self._fresh_pool(self._workers)
                futures[i + 1 :] = [self._ask(*pair) for pair in asked[i + 1 :]]

    def as_they_come(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Outcome]]:
        """Yield places in `asked` and their outcomes, each as soon as it is there."""
        due: dict[int, tuple[Recording, Path | None]] = {}
        for i, (recording, spool) in enumerate(asked):
            if isinstance(recording, AudioError):
                yield i, recording
            else:
                due[i] = recording, spool
        while due:
            with suppress(BrokenProcessPool):
                places = {self._pool.submit(self._work, *pair): i for i, pair in due.items()}
                for future in as_completed(list(places)):
                    i, outcome = places.pop(future), future.result()
                    del due[i]
                    yield i, outcome
            if due:
                i = min(due)
                yield i, self._alone(*due.pop(i))
                self._pool = self._fresh_pool(self._workers)

    def _alone(self, recording: Recording, spool: Path | None) -> Outcome:
        """Return the outcome by a process that has nothing else to do."""
        self._pool.shutdown(cancel_futures=True)
        self._pool = self._fresh_pool(1)
        try:
            return _answer(self._ask(recording, spool))
        except BrokenProcessPool:
            reason = "the process that replayed it died, perhaps for lack of memory"
            return AudioError(f"{recording.name}: {reason}", suggestion="try fewer --workers")
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _ask(self, recording: Recording | AudioError, spool: Path | None) -> Future[Outcome] | None:
        if isinstance(recording, AudioError):
            return None
        return self._pool.submit(self._work, recording, spool)

    def _fresh_pool(self, workers: int) -> ProcessPoolExecutor:
        return process_pool(self._settings, workers)


def process_pool(settings: ReplaySettings, workers: int) -> ProcessPoolExecutor:
    """Return processes for `outcome_in_worker`, each with its own model.

    They are spawned, not forked: ONNX Runtime's threads do not survive a fork. They end with the
    process that has started them, however that ends.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(settings,)
    )


_worker: Replayer


def _start_worker(settings: ReplaySettings) -> None:
    global _worker  # noqa: PLW0603 - a process pool gives its workers no other place for state
    # Ctrl-C reaches all of them, and the first process has the words for it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _worker = Replayer(settings)


def _end_with_parent() -> None:
    """End this process when the one that has started it was killed: it holds both ends of the pipe
    that it is asked by, and would wait for ever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def outcome_in_worker(recording: Recording, spool: Path | None) -> Outcome:
    """Return the outcome of a recording in a process that `_start_worker` has begun."""
    return _worker.outcome(recording, spool=spool)


def _answer(future: Future[Outcome] | None) -> Outcome:
    assert future is not None
    return future.result()
