"""Where in its windows a label begins and ends, from the scores of windows that overlap.

A window scores high as soon as a certain share of it holds the call, so the first window that does
*ends* about where the call begins, and the last one *begins* about where it ends. Both are found
between two windows, where the logit of the label crosses half of its rise from the level of windows
without the call. Nothing can be said where windows share less than half of their audio, and nothing
of a call that lasts from the first or to the last window of unbroken sound.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from edge.types import Prediction

__all__ = ["Edges", "Nearby", "ScoreTrack", "logit"]

# The part of a window that a call has to fill for half of the rise: BirdNET's median, measured on
# calls placed at known times (docs/evidence.md).
SHARE = 1 / 8
DENSE = 1 / 2  # of a window: the farthest that two may be apart for anything to be said
LEAST, MOST = 1e-6, 1 - 1e-6  # of a score
ABSENT = -4.6  # logit of a score of 0.01: a window without the call has at most this


def logit(score: float) -> float:
    """Return the logit of a score in 0..1."""
    p = score if LEAST <= score <= MOST else min(max(score, LEAST), MOST)
    return math.log(p / (1 - p))


@dataclass(frozen=True, kw_only=True)
class Nearby:
    """How a window lies to its neighbours; those that were gated do not count.

    `is_unbroken`: it shares audio with the one before it. `is_dense`: with each that it shares
    audio with, and there is one, it shares so much that scores tell where a call is.
    """

    is_unbroken: bool
    is_dense: bool

    @staticmethod
    def of(before: Prediction | None, p: Prediction, after: Prediction | None) -> Nearby:
        """Return how `p` lies between the windows before and after it."""
        starts = []
        if _is_judged(before) and p.start_sample < before.end_sample:
            starts.append(before.start_sample)
        is_unbroken = bool(starts)
        if _is_judged(after) and after.start_sample < p.end_sample:
            starts.append(after.start_sample)
        farthest = DENSE * (p.end_sample - p.start_sample)
        is_dense = all(abs(start - p.start_sample) <= farthest for start in starts)
        return Nearby(is_unbroken=is_unbroken, is_dense=bool(starts) and is_dense)


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Start and end of a call, and how far each may be off, in samples."""

    start_sample: int
    end_sample: int
    start_uncertainty: int
    end_uncertainty: int


@dataclass(frozen=True, kw_only=True)
class _Side:
    """Where a window would start whose logit is half way up, and how far the call may be off."""

    sample: int
    uncertainty: int


class ScoreTrack:
    """The score of one label in one window after the other, of equal length.

    `filled_samples` is how much of a window the call fills where its logit has risen by half.
    """

    def __init__(self, window_samples: int) -> None:
        self.window_samples = window_samples
        self.filled_samples = round(SHARE * window_samples)
        self._starts: list[int] = []
        self._logits: list[float] = []
        self._breaks: set[int] = set()  # starts of windows that share nothing with those before

    def add(self, start_sample: int, score: float, *, unbroken: bool) -> None:
        """Take the next window; `unbroken`: no lost sound is between it and the one before."""
        if not unbroken:
            self._breaks.add(start_sample)
        self._starts.append(start_sample)
        self._logits.append(logit(score))

    def extend(self, starts: Sequence[int], scores: Sequence[float]) -> None:
        """Take the next windows, with no lost sound between them and the one before."""
        self._starts += starts
        self._logits += map(logit, scores)

    def half(self, first: int, last: int) -> float:
        """Return the logit half way up to that of the windows that start from `first` to `last`."""
        floor, top = self._range(first, last)
        return (floor + top) / 2

    def edges(
        self, first: int, last: int, *, after: int | None, before: int | None
    ) -> Edges | None:
        """Return where the call begins and ends that windows from `first` to `last` hold.

        Windows that start at or before `after`, or from `before` on, hold others. The result is
        within the windows from `first` to `last`. None: nothing can be said.
        """
        rise, fall = self._side(first, last, -1), self._side(first, last, 1)
        if rise is not None and after is not None and rise.sample <= after:
            rise = None
        if fall is not None and before is not None and fall.sample >= before:
            fall = None
        if rise is None and fall is None:
            return None
        return self._between(first, last + self.window_samples, rise, fall)

    def _between(self, start: int, end: int, rise: _Side | None, fall: _Side | None) -> Edges:
        """Return the edges within `start` and `end`, which are those of the windows.

        A call is at least as long as what has to be filled; a shorter one is in the middle.
        """
        filled, window = self.filled_samples, self.window_samples
        begins = start if rise is None else _within(rise.sample + window - filled, start, end)
        ends = end if fall is None else _within(fall.sample + filled, start, end)
        if ends - begins < filled:
            begins = _within((begins + ends - filled) // 2, start, end - filled)
            ends = begins + filled
        return Edges(
            start_sample=begins,
            end_sample=ends,
            start_uncertainty=window if rise is None else min(rise.uncertainty, window),
            end_uncertainty=window if fall is None else min(fall.uncertainty, window),
        )

    def _range(self, first: int, last: int) -> tuple[float, float]:
        """Return from where to where the logit rises for windows that start from `first` to `last`.

        The lowest is among these and those that share audio with them.
        """
        i, j = self._at(first), self._at(last)
        around = slice(
            bisect_left(self._starts, first - self.window_samples + 1),
            bisect_left(self._starts, last + self.window_samples),
        )
        return min(ABSENT, *self._logits[around]), max(self._logits[i : j + 1])

    def _side(self, first: int, last: int, step: int) -> _Side | None:
        """Return the rise (`step` -1) or the fall (1) of windows that start from `first` to `last`.

        None where the sound is broken off before.
        """
        floor, top = self._range(first, last)
        low, half, high = (floor + share * (top - floor) for share in (0.25, 0.5, 0.75))
        i = self._at(first if step < 0 else last)
        while self._logits[i] < half:
            i -= step
        crossing = self._crossing(i, step, half)
        if crossing is None:
            return None
        lower = self._crossing(i, step, low)
        while self._logits[i] < high:
            i -= step
        upper = self._crossing(i, step, high)
        # A score that rises slowly tells little of when the call begins.
        slow = abs(upper[0] - lower[0]) if upper and lower else self.window_samples
        sample, hop = crossing
        return _Side(sample=sample, uncertainty=max(hop // 2 + self.filled_samples, slow))

    def _crossing(self, i: int, step: int, level: float) -> tuple[int, int] | None:
        """Return the start of the window at which the logit falls below `level`, and the hop there.

        It goes from window `i` on by `step`; the start is on the line between two windows. None
        where the sound is broken off before.
        """
        while self._is_dense(min(i, i + step)):
            here, there = self._logits[i], self._logits[i + step]
            if there < level:
                hop = self._starts[i + step] - self._starts[i]
                return self._starts[i] + round((here - level) / (here - there) * hop), abs(hop)
            i += step
        return None

    def _is_dense(self, i: int) -> bool:
        """Return whether window `i` and the one after it share enough for anything to be said."""
        if not 0 <= i < len(self._starts) - 1 or self._starts[i + 1] in self._breaks:
            return False
        return self._starts[i + 1] - self._starts[i] <= DENSE * self.window_samples

    def _at(self, start_sample: int) -> int:
        return bisect_left(self._starts, start_sample)


def _is_judged(p: Prediction | None) -> TypeGuard[Prediction]:
    return p is not None and not p.gated


def _within(sample: int, lowest: int, highest: int) -> int:
    return min(max(sample, lowest), highest)
