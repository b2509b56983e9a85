"""Windows that only prolong what goes on, or leave it alone: an event takes many of them at once.

To the same bits as one after the other by `Tracker.follow`. It is for where each window gives the
best label or none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.detect.decision import Decision, Mask
from edge.detect.recent import Earlier
from edge.detect.rows import Rows
from edge.detect.runs import Run
from edge.detect.tracker import Tracker

__all__ = ["Alike", "next_of"]


class Alike:
    """Windows (N,) as `alone`, and as `smoothed` with their neighbours.

    `quiet` (N,) are those in which there is nothing. `is_unbroken` and `is_dense` (N,) say how they
    lie to their neighbours. `recent` returns what `Tracker.recall` takes before a window.
    """

    def __init__(
        self,
        alone: Rows,
        smoothed: Rows,
        decision: Decision,
        *,
        quiet: Mask,
        is_unbroken: Mask,
        is_dense: Mask,
        recent: Callable[[int], Earlier],
    ) -> None:
        self._windows = alone.windows
        self._alone, self._smoothed, self._decision = alone, smoothed, decision
        self._quiet, self._is_unbroken, self._is_dense = quiet, is_unbroken, is_dense
        self._recent = recent
        self._whole = ~self._windows.gated
        self._whole[list(self._windows.breaks)] = False
        self._starts, self._ends = self._windows.starts, self._windows.ends

    def followed(self, tracker: Tracker, i: int, end: int) -> int:
        """Go on by windows from `i` to before `end`, of one recording, and return the first that is
        not followed so.
        """
        runs = tracker.runs
        if not runs:
            return i
        if self._quiet[i]:
            label, own, stop = None, None, min(end, self._quiet_until[i])
        else:
            if not self._decision.gives_one or self._decision.margin is not None:
                return i
            label = self._label(i)
            own, stop = runs.get(label), min(end, self._until[i])
            if own is None or (label is not None and _may_be_pause(runs.get(None))):
                return i
        others = [(name, run) for name, run in runs.items() if run is not own]
        stop = self._before_over([run for _, run in others], i, stop)
        if own is not None and stop > i:
            stop = self._prolonged(tracker, label, own, i, stop, waits=bool(others))
        if stop > i:
            for name, run in others:
                run.pass_by(self._starts[i:stop], self._scores(name, i, stop))
            tracker.recall(self._recent(stop))
        return stop

    def _label(self, i: int) -> str | None:
        """Return the label of a window that has something."""
        is_known = self._smoothed.judged.accepted.item(i)
        return self._decision.labels[self._smoothed.places.item(i)] if is_known else None

    def _before_over(self, others: Sequence[Run], i: int, stop: int) -> int:
        """Return the first window from `i` on at which the end of other calls may be told."""
        if not others or stop == i:
            return stop
        until = [run.quiet_until for run in others]
        known = [sample for sample in until if sample is not None]
        if len(known) < len(until):
            return i
        return bisect_right(self._starts, min(known), i, min(stop, self._broken_at[i]))

    def _prolonged(
        self, tracker: Tracker, label: str | None, run: Run, i: int, stop: int, *, waits: bool
    ) -> int:
        """Prolong a run by windows with its label, and return the first for which it would be too
        long.
        """
        longest = tracker.longest_end(run, self._windows.sample_rate_hz)
        stop = bisect_right(self._ends, longest, i, stop)
        if stop == i or not run.reaches(self._starts[i]):
            return i
        starts, last = self._starts[i:stop], self._ends[stop - 1]
        best = self._smoothed.prediction(i + int(self._strengths[i:stop].argmax()))
        if label is not None:
            if not run.is_one_call or not self._are_expected(tracker, i, stop):
                return i
            run.prolong_call(starts, last, best, self._scores(label, i, stop))
            tracker.announce(run, best)
        elif waits or not _may_be_pause(run):
            run.prolong(starts, last, best)
        else:
            return i
        return stop

    def _are_expected(self, tracker: Tracker, i: int, stop: int) -> bool:
        """Return whether windows may have their label here: what is expected changes by the week,
        and no event is as long as that.
        """
        edges = {i, stop - 1}
        return all(tracker.expects(self._smoothed.prediction(edge)) for edge in edges)

    def _scores(self, label: str | None, i: int, stop: int) -> list[float]:
        """Return the scores of a label in windows, as they were judged."""
        if label is None:
            return []
        k = self._decision.index[label]
        scores: list[float] = self._alone.judged.scores[i:stop, k].tolist()
        return scores

    @cached_property
    def _quiet_until(self) -> list[int]:
        """For each window the first from it on that is not one more in which there is nothing."""
        return next_of(~(self._quiet & self._whole & self._is_unbroken))

    @cached_property
    def _broken_at(self) -> list[int]:
        """For each window the first from it on that shares nothing with the one before."""
        return next_of(~self._is_unbroken)

    @cached_property
    def _until(self) -> list[int]:
        """For each window that has something, the first after it that has not just the same, as
        surely; the window itself where it alone tells more.
        """
        windows, accepted = self._windows, self._smoothed.judged.accepted
        touches = np.zeros(len(accepted), bool)
        touches[1:] = windows.start[1:] <= windows.end[:-1]
        touches[1:] &= windows.recording[1:] == windows.recording[:-1]
        goes_on = np.where(accepted, self._is_unbroken & self._is_dense, touches & ~self._quiet)
        goes_on &= self._whole
        places = np.where(accepted, self._smoothed.places, -1)
        same = goes_on.copy()
        same[1:] &= places[1:] == places[:-1]
        after = np.append(next_of(~same)[1:], len(same))
        found: list[int] = np.where(goes_on, after, np.arange(len(same))).tolist()
        return found

    @cached_property
    def _strengths(self) -> NDArray[np.floating]:
        """See `Prediction.strength`."""
        judged = self._smoothed.judged
        others = judged.novelties[:, 0] if judged.animal is None else judged.animal
        return np.where(judged.accepted, self._smoothed.strengths, others)


def _may_be_pause(unknown: Run | None) -> bool:
    """Return whether an unknown is forgotten where a call that began before it goes on."""
    return unknown is not None and not all(part.announced for part in unknown.parts)


def next_of(mask: Mask) -> list[int]:
    """Return for each place the first from it on that is in `mask` (N,); N where none is."""
    count = len(mask)
    places = np.where(mask, np.arange(count), count)
    following: list[int] = np.minimum.accumulate(places[::-1])[::-1].tolist()
    return following
