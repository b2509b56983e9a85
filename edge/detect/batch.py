"""The windows of recordings as arrays, followed without an object for each of them.

It does what `events_of` does with one window after the other, to the same bits: the smoothing with
neighbours and whether there is anything are computed for all windows at once, and only those in or
near an event become predictions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.detect.alike import Alike, next_of
from edge.detect.decision import Decision, Mask
from edge.detect.judgement import Judgement
from edge.detect.narrowing import DENSE, Nearby
from edge.detect.rows import Rows, Windows
from edge.detect.tracker import Tracker
from edge.types import Detection, Prediction

__all__ = ["WindowBatch"]

Doubles = NDArray[np.float64]
# By whether the window is unbroken, then whether it is dense.
NEARBY = [[Nearby(is_unbroken=x, is_dense=y) for y in (False, True)] for x in (False, True)]


class WindowBatch:
    """Windows (N,) and what was `judged` of them; rows of gated windows may have anything."""

    def __init__(self, windows: Windows, judged: Judgement, decision: Decision) -> None:
        self._windows = windows
        self._decision = decision
        self._alone = Rows(windows, judged, decision)
        # Samples (N - 1,) that a window shares with the next, of what was judged.
        is_judged = ~(windows.gated[1:] | windows.gated[:-1])
        self._overlap = np.where(is_judged, windows.overlap, 0)

    def events(self, tracker: Tracker, first: int, end: int) -> Iterator[Detection]:
        """Follow the windows from `first` to before `end`, which are of one recording.

        It may be the next part of that recording; what is around it belongs to the batch where it
        shares audio with it.
        """
        breaks, i = self.breaks, first
        while i < end:
            if tracker.is_idle:
                i = self._next[i]
                if i >= end:
                    return
                tracker.recall(partial(self._recent, i))
            elif (stop := self._alike.followed(tracker, i, end)) > i:
                i = stop
                continue
            yield from self._followed(tracker, i)
            for sample in breaks.get(i, ()):
                yield from tracker.lost(sample)
            i += 1

    @property
    def breaks(self) -> Mapping[int, list[int]]:
        """See `Windows.breaks`."""
        return self._windows.breaks

    def prediction(self, i: int) -> Prediction:
        """Return window `i` before any smoothing."""
        return self._windows.gated_prediction(i) if self._gated[i] else self._alone.prediction(i)

    def _followed(self, tracker: Tracker, i: int) -> Iterator[Detection]:
        if self._gated[i]:
            return tracker.gated(self._nearby(i))
        p = self._smoothed.quiet(i) if self._quiet[i] else self._smoothed.prediction(i)
        return tracker.follow(self._alone.bare(i), p, self._nearby(i))

    def _recent(self, i: int) -> list[tuple[Prediction, Nearby]]:
        """Return the windows before `i` that share audio with it, in one stretch of sound."""
        found: list[tuple[Prediction, Nearby]] = []
        start, end = self._windows.start[i], self._windows.end
        while self._nearby(i).is_unbroken and end[i - 1] > start:
            i -= 1
            found.append((self._alone.bare(i), self._nearby(i)))
        return found[::-1]

    @cached_property
    def _alike(self) -> Alike:
        is_unbroken, is_dense = self._lie
        return Alike(
            self._alone,
            self._smoothed,
            self._decision,
            quiet=np.array(self._quiet, bool),
            is_unbroken=is_unbroken,
            is_dense=is_dense,
            recent=lambda i: partial(self._recent, i),
        )

    @cached_property
    def _gated(self) -> list[bool]:
        gated: list[bool] = self._windows.gated.tolist()
        return gated

    @cached_property
    def _next(self) -> list[int]:
        """For each window the first from it on in which there is something."""
        return next_of(~(np.array(self._quiet, bool) | self._windows.gated))

    @cached_property
    def _quiet(self) -> list[bool]:
        judged = self._smoothed.judged
        quiet = self._decision.quiet(
            judged.scores, judged.novelties, judged.accepted, judged.animal
        )
        found: list[bool] = quiet.tolist()
        return found

    def _nearby(self, i: int) -> Nearby:
        """Return how a window lies to its neighbours; see `Nearby.of`."""
        is_unbroken, is_dense = self._lie
        return NEARBY[is_unbroken.item(i)][is_dense.item(i)]

    @cached_property
    def _lie(self) -> tuple[Mask, Mask]:
        """Which windows are unbroken, and which are dense."""
        windows, shares = self._windows, self._overlap > 0
        distance, farthest = np.diff(windows.start), DENSE * (windows.end - windows.start)
        # A gated window, too, may go on with the sound of the one before it.
        goes_on = (windows.overlap > 0) & ~windows.gated[:-1]
        before, after = np.append(False, goes_on), np.append(shares, False)
        is_dense = before | after
        is_dense[1:] &= ~(shares & (distance > farthest[1:]))
        is_dense[:-1] &= ~(shares & (distance > farthest[:-1]))
        return before, is_dense

    @cached_property
    def _smoothed(self) -> Rows:
        """The windows averaged with their neighbours; see `with_neighbours`."""
        judged = self._alone.judged
        if not self._overlap.any():
            return self._alone
        length = self._windows.end - self._windows.start
        before, after = np.zeros(len(length)), np.zeros(len(length))
        before[1:], after[:-1] = self._overlap / length[1:], self._overlap / length[:-1]
        total = (before + 1.0) + after
        shares = before / total, 1.0 / total, after / total
        novelties = _averaged(judged.novelties, *shares)
        is_alone = (before == 0) & (after == 0)
        averaged = dataclasses.replace(
            judged,
            scores=_averaged(judged.scores, *shares).astype(np.float32),
            novelties=novelties,
            accepted=np.where(is_alone, judged.accepted, novelties[:, 0] <= 0.5),
            animal=None if judged.animal is None else _mean(judged.animal, before, after, total),
        )
        return Rows(self._windows, averaged, self._decision)


def _averaged(values: NDArray[Any], before: Doubles, own: Doubles, after: Doubles) -> Doubles:
    """Return rows (N, K) averaged with the rows before and after each, by shares (N,)."""
    result = values * own[:, np.newaxis]
    result[1:] += values[:-1] * before[1:, np.newaxis]
    result[:-1] += values[1:] * after[:-1, np.newaxis]
    return result


def _mean(values: Doubles, before: Doubles, after: Doubles, total: Doubles) -> Doubles:
    """Return values (N,) averaged as `weighted` does, by weights (N,) of which `total` is the sum.

    It divides the sum, not each weight.
    """
    result = values.copy()
    result[1:] += values[:-1] * before[1:]
    result[:-1] += values[1:] * after[:-1]
    mean: Doubles = result / total
    return mean
