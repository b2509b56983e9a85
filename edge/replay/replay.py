"""Recordings through the same pipeline as the live recorder: finds them, hears each to its end,
isolates the ones that fail.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from edge.bundle import load_bundle
from edge.clock import file_clock
from edge.detect.engines import FOLDER, BackendChoice, load_models
from edge.detect.model import NOTHING
from edge.detect.pipeline import detect
from edge.detect.signal_health import HealthConfig
from edge.detect.site import Expected, SpeciesList, check_species, site_of
from edge.detect.smoothing import Smoothing, SmoothingConfig, smoothing_of
from edge.detect.tracker import Tracker, TrackerConfig
from edge.detect.windows import Windower
from edge.errors import AudioError, BackendError, ConfigError, EdgeError
from edge.provenance import chosen_later, provenance_of
from edge.replay.attention import Attention, attention_over
from edge.replay.formats.base import ReplayResult
from edge.sources.file import AUDIO_SUFFIXES, FileSource
from edge.types import AudioBlock, Detection, Prediction, Window

__all__ = ["Outcome", "ReplaySettings", "Replayer", "find_recordings", "replay"]

Outcome = ReplayResult | AudioError
# is told how many files are done, the fraction of the one at hand included
Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What decides the result of a replay; `block_s` and `spool` (predictions wanted) do not change
    what is detected.

    `more_bundles` judge together with `bundle`. `species` are those expected at the site, None:
    every label of the bundle; `refine` is done to scores between model and tracker.
    """

    bundle: Path
    more_bundles: tuple[Path, ...] = ()
    hop_s: float = 1.0
    start: datetime | None = None
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    limits: HealthConfig = field(default_factory=HealthConfig)
    species: SpeciesList | None = None
    refine: SmoothingConfig = field(default_factory=SmoothingConfig)
    block_s: float = 1.0
    spool: bool = False
    backend: BackendChoice = "auto"
    engines: Path = FOLDER

    def __post_init__(self) -> None:
        if not 0 < self.hop_s < math.inf:
            raise ConfigError(f"--hop-s: {self.hop_s} is not a number of seconds above 0")


class Replayer:
    """One process's model, ready to hear recordings one after another. Raises `BundleError` when
    the bundle fails its self-test.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self.settings = settings
        self.bundle = load_bundle(settings.bundle)
        self._windower()  # so that a hop that cannot be is told before any file is opened
        others = [load_bundle(path) for path in settings.more_bundles]
        self._model = load_models(
            [self.bundle, *others],
            backend=settings.backend,
            folder=settings.engines,
            limits=settings.limits,
        )
        check_species(settings.species, self._model.labels, key="--species")
        chosen = chosen_later(species=settings.species, refine=settings.refine)
        self.provenance = provenance_of(
            self._model,
            hop_s=settings.hop_s,
            tracker=settings.tracker,
            health=settings.limits,
            **chosen,
        )

    def hear(
        self, file: str, *, spool: Path | None = None, progress: Progress = lambda fraction: None
    ) -> ReplayResult:
        """Hear one recording to its end; `AudioError` where it cannot be read, and nothing of it
        counts then.
        """
        rate_hz = self.bundle.frontend.sample_rate_hz
        source = FileSource(file, sample_rate_hz=rate_hz, block_s=self.settings.block_s)
        facts = source.facts
        clock = file_clock(
            file, sample_rate_hz=rate_hz, duration_s=facts.duration_s, start=self.settings.start
        )
        with ExitStack() as stack:
            stream = stack.enter_context(spool.open("wb")) if spool else None
            site = site_of(self.settings.species, clock_at=lambda sample: clock)
            meter = _ReplayMeter(duration_s=facts.duration_s, progress=progress)
            smoothing = smoothing_of(
                self.settings.refine, decision=self._model.decision, sample_rate_hz=rate_hz
            )
            if stream is not None:
                smoothing = _Spooled(smoothing, stream, site)
            tracker, windower = self._tracker(facts.identity, site), self._windower()
            events = detect(
                source.blocks(),
                windower=windower,
                model=self._model,
                smoothing=smoothing,
                tracker=tracker,
                meter=meter,
            )
            ended = [event for event in events if event.state == "end"]
        return ReplayResult(
            file=file,
            duration_s=meter.heard_samples / rate_hz,
            clock=clock,
            detections=tuple(sorted(ended, key=_order)),
            spool=spool,
        )

    def attention(self, result: ReplayResult) -> Attention | None:
        """Where the network looked in a recording, for a picture of it; None where it does not
        say.
        """
        return attention_over(
            result.file, self._model, duration_s=result.duration_s, hop_s=self.settings.hop_s
        )

    def outcome(
        self, file: str, *, spool: Path | None = None, progress: Progress = lambda fraction: None
    ) -> Outcome:
        """As `hear`, with the failure of this one file as a value, so that the others go on."""
        try:
            return self.hear(file, spool=spool, progress=progress)
        except AudioError as exc:
            return exc
        except BackendError as exc:
            return AudioError(f"{file}: {exc}")
        except OSError as exc:  # the medium failed under the file: a card pulled, a share gone
            return AudioError(f"{file}: {exc.strerror or exc}")

    def _windower(self) -> Windower:
        spec = self.bundle.frontend
        hop_samples = round(self.settings.hop_s * spec.sample_rate_hz)
        return Windower(
            window_samples=spec.window_samples,
            hop_samples=hop_samples,
            sample_rate_hz=spec.sample_rate_hz,
        )

    def _tracker(self, identity: str, site: Expected) -> Tracker:
        stream = f"{identity}|{self.provenance.identity}"
        return Tracker(
            decision=self._model.decision, identity=stream, config=self.settings.tracker, site=site
        )


@dataclass(kw_only=True)
class _ReplayMeter:
    """Counts what was heard, and tells progress."""

    duration_s: float | None
    progress: Progress
    heard_samples: int = 0

    def block(self, block: AudioBlock) -> None:
        self.heard_samples += len(block.samples)
        if self.duration_s:
            self.progress(min(1.0, block.end_sample / block.sample_rate_hz / self.duration_s))

    def prediction(self, prediction: Prediction) -> None:
        pass

    def failed(self, window: Window, error: BackendError) -> None:
        raise error  # someone is there to read it, and half a result would pass for a whole one


class _Spooled:
    """A stage that keeps on disk what it gives out, as the site has it, for the formats that want
    windows.
    """

    def __init__(self, stage: Smoothing, spool: BinaryIO, site: Expected) -> None:
        self._stage = stage
        self._spool = spool
        self._site = site

    def push(self, prediction: Prediction) -> Iterator[Prediction]:
        yield from self._kept(self._stage.push(prediction))

    def flush(self) -> Iterator[Prediction]:
        yield from self._kept(self._stage.flush())

    def _kept(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for p in predictions:
            pickle.dump(
                replace(self._site(p), scores=NOTHING, embedding=NOTHING, frames=None), self._spool
            )
            yield p


def find_recordings(paths: Sequence[str]) -> list[str | AudioError]:
    """The recordings that `paths` name, in order; a folder gives all audio files below it, sorted.
    Faults keep their place.
    """
    found: list[str | AudioError] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        faults: list[OSError] = []
        inside = sorted(
            _audio_below(path, faults), key=lambda file: os.path.relpath(file, path).split(os.sep)
        )
        found += inside
        found += [AudioError(f"{fault.filename}: {fault.strerror}") for fault in faults]
        if not inside and not faults:
            found.append(AudioError(f"{path}: no audio files in this folder"))
    return found


def _audio_below(folder: str, faults: list[OSError]) -> Iterator[str]:
    for parent, _, names in os.walk(folder, onerror=faults.append):
        for name in names:
            # A leading dot: macOS leaves ._NAME.wav beside each file on the cards of recorders.
            if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield os.path.join(folder, os.path.relpath(os.path.join(parent, name), folder))


def replay(
    replayer: Replayer,
    recordings: Sequence[str | AudioError],
    *,
    workers: int = 1,
    progress: Progress = lambda fraction: None,
) -> Iterator[Outcome]:
    """Outcomes in the order of `recordings`, however many processes hear them; a spool lives until
    the next is asked for.
    """
    with tempfile.TemporaryDirectory(prefix="edge-replay-") as folder, ExitStack() as stack:
        spools = [
            Path(folder, str(i)) if replayer.settings.spool else None
            for i in range(len(recordings))
        ]
        workers = min(workers, len(recordings))
        if workers > 1:
            outcomes = stack.enter_context(_Workers(replayer.settings, workers)).outcomes(
                recordings, spools
            )
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
            yield replayer.outcome(
                recording, spool=spool, progress=partial(_advance, progress, done)
            )


def _advance(progress: Progress, done: int, fraction: float) -> None:
    progress(done + fraction)


class _Workers:
    """Worker processes, each with its own model. Spawned, not forked: ONNX Runtime's threads do not
    survive a fork.
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
        futures = [
            None
            if isinstance(recording, AudioError)
            else self._pool.submit(_hear_in_worker, recording, spool)
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


def _hear_in_worker(file: str, spool: Path | None) -> Outcome:
    return _worker.outcome(file, spool=spool)


def _order(d: Detection) -> tuple[int, int, str]:
    return d.start_sample, d.end_sample, d.label or ""
