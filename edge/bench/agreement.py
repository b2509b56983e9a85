"""BirdNET as a bundle beside its own program on many recordings: how fast, and how much alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from edge.bench.birdnetlib import MIN_CONFIDENCE, WINDOW_S, Analysed, Named, analysis
from edge.bundle.places import named_bundle
from edge.detect.windows import windower_of
from edge.errors import UserError
from edge.replay.recordings import find_recordings
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.sources.file import FileSource

__all__ = ["Agreement", "agreement_lines"]

MOST_RECORDINGS = 100
MOST_SHOWN = 5
T = TypeVar("T")


@dataclass
class Agreement:
    """Which detections two programs have in common, and the CPU seconds of both."""

    recordings: int = 0
    common: int = 0
    ours_s: float = 0.0
    theirs_s: float = 0.0
    different: list[str] = field(default_factory=list)

    def add(self, name: str, ours: dict[Named, float], theirs: dict[Named, float]) -> None:
        """Count the detections of a recording; the scores of ours may be lower than needed."""
        mine = {found for found, score in ours.items() if score >= MIN_CONFIDENCE}
        self.recordings += 1
        self.common += len(mine & theirs.keys())
        for place, species in sorted(mine ^ theirs.keys()):
            key = (place, species)
            scores = f"{_shown(ours.get(key))}, birdnetlib {_shown(theirs.get(key))}"
            self.different.append(f"{name} {place * WINDOW_S:g} s {species}: {scores}")

    @property
    def share(self) -> float:
        """The detections that both have, of those that either has."""
        return self.common / max(1, self.common + len(self.different))


def _shown(score: float | None) -> str:
    return "less" if score is None else f"{score:.3f}"


def agreement_lines(folder: Path, bundle: str) -> Iterator[str]:
    """Yield lines of the comparison on recordings below `folder`, evenly chosen where many.

    A window is compared where all of it is in the recording: of the end, the two programs hear
    different stretches.
    """
    try:
        analyse = analysis()
    except ImportError as exc:
        yield f"agreement     ? {exc.name} is missing; `make bench` installs it"
        return
    files = find_recordings([str(folder)], with_av=False).files
    files = files[:: math.ceil(len(files) / MOST_RECORDINGS)] if files else files
    replayer = Replayer(ReplaySettings(bundle=named_bundle(bundle), hop_s=WINDOW_S, backend="cpu"))
    found = Agreement()
    for file in map(Path, files):
        replay, analysed = partial(replayer.replay, str(file)), partial(analyse, file)
        try:
            if not found.recordings:  # the first time, both build tables and compile
                replay()
                analysed()
            _, ours_s = _timed(replay)
        except UserError as exc:
            yield f"  left out: {exc}"
            continue
        theirs, theirs_s = _timed(analysed)
        found.ours_s += ours_s
        found.theirs_s += theirs_s
        found.add(file.name, _scores(replayer, file, theirs), _whole(theirs))
    yield from _lines(found)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what `work` does, and the CPU seconds that it takes."""
    started = time.process_time()
    return work(), time.process_time() - started


def _scores(replayer: Replayer, file: Path, theirs: Analysed) -> dict[Named, float]:
    """Return the scores of all labels in each whole window that could be a detection."""
    bundle, spec = replayer.bundle, replayer.bundle.frontend
    windower = windower_of(spec, WINDOW_S)
    source = FileSource(str(file), sample_rate_hz=spec.sample_rate_hz)
    windows = (window for block in source.blocks() for window in windower.push(block))
    scores: dict[Named, float] = {}
    for place, window in zip(range(int(theirs.duration_s // WINDOW_S)), windows, strict=False):
        given = replayer.model.predict(window).scores
        if given is not None:
            likely = np.flatnonzero(given >= MIN_CONFIDENCE / 10)
            names = (bundle.labels[k].scientific_name for k in likely)
            scores |= {
                (place, name): float(given[k]) for name, k in zip(names, likely, strict=True)
            }
    return scores


def _whole(theirs: Analysed) -> dict[Named, float]:
    whole = int(theirs.duration_s // WINDOW_S)
    return {found: score for found, score in theirs.scores.items() if found[0] < whole}


def _lines(found: Agreement) -> Iterator[str]:
    if not found.recordings:
        yield "agreement   cannot be measured: no recording that both can read"
        return
    ours, theirs = (3600 * found.recordings / s for s in (found.ours_s, found.theirs_s))
    yield (
        f"agreement   {found.recordings} recordings: {ours:.0f} a CPU hour, birdnetlib "
        f"{theirs:.0f}: {ours / theirs:.2f} times as fast (wanted: 2)"
    )
    yield (
        f"  detections from {MIN_CONFIDENCE} on: {found.common} in common, "
        f"{len(found.different)} of one alone: {100 * found.share:.1f} % agree (wanted: 99)"
    )
    yield from (f"  {line}" for line in found.different[:MOST_SHOWN])
