"""What several systems say together: the power average of their scores, as on the device.

Shugayev et al. 2021, sections 2.5 (2) and 3: p = sqrt(sum w p^2 / sum w). Systems of different
frontends cut their windows at times that differ by less than a hop; those of one number in a
recording are taken as one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from train.judging.judged import Judged, by_recording
from train.judging.metrics import macro_f1
from train.judging.ranking import sample_wise_map

__all__ = ["MEASURES", "averaged", "common_windows", "measure_recordings", "power_average"]

MEASURES = ("macro F1", "top-1", "mAP")
Floats = NDArray[np.float64]


def power_average(scores: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return sqrt(sum w p^2 / sum w) of the scores p, each (W, K)."""
    powers = np.average(np.square(scores), axis=0, weights=np.asarray(weights, np.float64))
    average: Floats = np.sqrt(powers)
    return average


def averaged(systems: Sequence[Judged], weights: Sequence[float]) -> Judged:
    """Return what systems with the same labels say together of the windows that all have.

    Rejection is that of their mean novelty's order only: `opened` is what is named without it.
    """
    common = common_windows(systems)
    first = systems[0]
    scores = [one.scores[rows] for one, rows in zip(systems, common, strict=True)]
    novelty = [one.novelty[rows] for one, rows in zip(systems, common, strict=True)]
    together = power_average(scores, weights)
    named = together.argmax(axis=1).astype(np.int64)
    rows = common[0]
    return Judged(
        recording=first.recording[rows],
        truth=dataclasses.replace(
            first.truth,
            species=first.truth.species[rows],
            kind=first.truth.kind[rows],
            origin=first.truth.origin[rows],
        ),
        closed=named,
        opened=named,
        novelty=np.average(novelty, axis=0, weights=np.asarray(weights, np.float64)),
        scores=together,
    )


def measure_recordings(windows: Judged, *, classes: int) -> dict[str, float]:
    """Return the measures of recordings of known species, by their names in `MEASURES`."""
    recordings = by_recording(windows)
    known = recordings.truth.known
    truth, closed = recordings.truth.species[known], recordings.closed[known]
    if not known.any():
        raise UserError("the test has no recording of a species that was learnt")
    even = np.ones((1, len(truth)))
    values = (
        macro_f1(truth, closed, even, classes=classes)[0],
        (truth == closed).mean(),
        sample_wise_map(truth, recordings.scores[known], even)[0],
    )
    return dict(zip(MEASURES, map(float, values), strict=True))


def common_windows(systems: Sequence[Judged]) -> list[NDArray[np.int64]]:
    """Return the positions of the windows that all systems have, in one order."""
    keys = [list(zip(one.recording.tolist(), _numbers(one), strict=True)) for one in systems]
    shared = set(keys[0]).intersection(*keys[1:])
    positions = [{key: i for i, key in enumerate(own)} for own in keys]
    order = [key for key in keys[0] if key in shared]
    if not order:
        raise UserError("the systems have heard no recording in common: they cannot be averaged")
    return [np.array([own[key] for key in order], np.int64) for own in positions]


def _numbers(windows: Judged) -> list[int]:
    """Return the number of each window in its recording; windows stand in the order of time."""
    count: dict[int, int] = {}
    numbers = []
    for recording in windows.recording.tolist():
        numbers.append(count.get(recording, 0))
        count[recording] = numbers[-1] + 1
    return numbers
