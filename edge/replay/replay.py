"""Many recordings, in turn or among processes; one that fails does not stop the others."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from edge.errors import AudioError, EdgeError
from edge.replay.replayer import Outcome, Progress, Replayer, ReplaySettings

__all__ = ["replay"]


def replay(
    replayer: Replayer,
    recordings: Sequence[str | AudioError],
    *,
    workers: int = 1,
    progress: Progress = lambda fraction: None,
) -> Generator[Outcome, None, None]:
    """Yield outcomes in the order of `recordings`, however many processes there are.

    A spool lives until the next outcome is asked for. Who may leave before the end closes this, and
    with it end the workers and the folder of spools.
    """
    workers = min(workers, len(recordings))
    with tempfile.TemporaryDirectory(prefix="edge-replay-") as folder, ExitStack() as stack:
        spools: list[Path | None] = [None] * len(recordings)
        if replayer.settings.spool:
            spools = [Path(folder, str(i)) for i in range(len(recordings))]
        if workers > 1:
            pool = stack.enter_context(_Workers(replayer.settings, workers))
            outcomes = pool.outcomes(recordings, spools)
        else:
            outcomes = _outcomes(replayer, recordings, spools, progress)
        for outcome, spool in zip(outcomes, spools, strict=True):
            yield outcome
            if spool is not None:
                spool.unlink(missing_ok=True)


def _outcomes(
    replayer: Replayer,
    recordings: Sequence[str | AudioError],
    spools: Sequence[Path | None],
    progress: Progress,
) -> Iterator[Outcome]:
    for done, (recording, spool) in enumerate(zip(recordings, spools, strict=True)):
        if isinstance(recording, AudioError):
            yield recording
        else:
            advance = partial(_advance, progress, done)
            yield replayer.outcome(recording, spool=spool, progress=advance)


def _advance(progress: Progress, done: int, fraction: float) -> None:
    progress(done + fraction)


class _Workers:
    """Worker processes, each with its own model.

    They are spawned, not forked: ONNX Runtime's threads do not survive a fork.
    """

    def __init__(self, settings: ReplaySettings, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(settings,)
        )

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def outcomes(
        self, recordings: Sequence[str | AudioError], spools: Sequence[Path | None]
    ) -> Iterator[Outcome]:
        """Yield outcomes in the order of `recordings`."""
        futures = [
            None
            if isinstance(recording, AudioError)
            else self._pool.submit(_outcome_in_worker, recording, spool)
            for recording, spool in zip(recordings, spools, strict=True)
        ]
        for recording, future in zip(recordings, futures, strict=True):
            if future is None:
                assert isinstance(recording, AudioError)
                yield recording
                continue
            try:
                outcome = future.result()
            except BrokenProcessPool as exc:
                raise EdgeError(
                    f"{recording}: a worker process died, perhaps for lack of memory; try fewer "
                    "--workers"
                ) from exc
            yield outcome


_worker: Replayer


def _start_worker(settings: ReplaySettings) -> None:
    global _worker  # noqa: PLW0603 - a process pool gives its workers no other place for state
    _worker = Replayer(settings)


def _outcome_in_worker(file: str, spool: Path | None) -> Outcome:
    return _worker.outcome(file, spool=spool)
