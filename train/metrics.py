"""Numbers for closed-set and open-set recognition, each with a bootstrap interval over recordings.

Every metric takes `weights` (B, W): how often each of W windows counts in each of B resamples; it returns (B,). The plain number
is the metric under weights of one. Novelty grows as a window looks less known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bootstrap", "Estimate", "OpenSet", "class_scores", "macro_f1", "share"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CHUNK = 50  # resamples whose weights are held at once


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Resamples of whole recordings: windows of one recording are not independent, so they come and go together.

    `recording` (W,) names each window's recording, `stratum` (W,) a number per recording's kind: each kind keeps its number of
    recordings in every resample, so that a rate per kind is always defined.
    """

    recording: Ints
    stratum: Ints
    resamples: int = 500
    seed: int = 0

    def values(self, metric: Callable[[Floats], Floats]) -> Floats:
        """The metric in every resample (resamples,). Equal objects draw equal resamples, so values of two systems are paired."""
        parts = [metric(self._counts[i : i + CHUNK][:, self._position]) for i in range(0, self.resamples, CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def estimate(self, metric: Callable[[Floats], Floats]) -> Estimate:
        """The plain number with the interval of its resamples (Efron's percentile method); nan where it is undefined."""
        value = float(metric(np.ones((1, len(self.recording))))[0])
        values = self.values(metric)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) and np.isfinite(value) else (np.nan, np.nan)
        return Estimate(value=value, low=float(low), high=float(high))

    @cached_property
    def _position(self) -> Ints:
        return np.unique(self.recording, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def _counts(self) -> Floats:
        """How often each recording was drawn (resamples, R)."""
        names, first = np.unique(self.recording, return_index=True)
        strata = self.stratum[first]
        rng = np.random.default_rng(self.seed)
        counts = np.zeros((self.resamples, len(names)))
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=self.resamples)
        return counts


@dataclass(frozen=True)
class OpenSet:
    """Knowns against outliers, ranked by novelty: `novelty` (W,), `known` (W,), `correct` (W,) where the label is right.

    All curves are read at every distinct novelty; ties count half.
    """

    novelty: Floats
    known: Bools
    correct: Bools

    @cached_property
    def _order(self) -> Ints:
        return np.argsort(self.novelty, kind="stable")

    @cached_property
    def _starts(self) -> Ints:
        ranked = self.novelty[self._order]
        return np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.empty(0, np.int64)

    def _accepted(self, weights: Floats, mask: Bools, total: Floats) -> Floats:
        """Share (B, 1 + L) of `total` (B, 1) that is accepted with the threshold at each of L levels, after none at all."""
        levels = np.add.reduceat((weights * mask)[:, self._order], self._starts, axis=1)
        shares: Floats = np.cumsum(levels, axis=1) / total
        return np.concatenate([np.zeros((len(weights), 1)), shares], axis=1)

    def auroc(self, weights: Floats) -> Floats:
        """Chance that an outlier is more novel than a known window."""
        return self._area(self._curve(weights, self.known), self._curve(weights, ~self.known))

    def oscr(self, weights: Floats) -> Floats:
        """Area under correct classification rate against false positive rate (Dhamija et al. 2018, network agnostophobia)."""
        correct = self._accepted(weights, self.known & self.correct, self._total(weights, self.known))
        return self._area(correct, self._curve(weights, ~self.known))

    def fpr(self, weights: Floats, *, acceptance: float = 0.95) -> Floats:
        """Share of outliers accepted where `acceptance` of the known windows are."""
        known, outliers = self._curve(weights, self.known), self._curve(weights, ~self.known)
        # a cumulative sum that should end at 0.95 may be a rounding error below it
        at = np.argmax(known >= acceptance - 1e-9, axis=1)
        result: Floats = np.take_along_axis(outliers, at[:, None], axis=1)[:, 0]
        return np.where(np.isfinite(known[:, -1]), result, np.nan)

    def _curve(self, weights: Floats, mask: Bools) -> Floats:
        return self._accepted(weights, mask, self._total(weights, mask))

    @staticmethod
    def _total(weights: Floats, mask: Bools) -> Floats:
        total = (weights * mask).sum(1, keepdims=True)
        return np.where(total > 0, total, np.nan)

    @staticmethod
    def _area(heights: Floats, steps: Floats) -> Floats:
        area: Floats = (np.diff(steps, axis=1) * (heights[:, 1:] + heights[:, :-1]) / 2).sum(1)
        return area


def class_scores(truth: Ints, predicted: Ints, weights: Floats, *, classes: int) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 (B, K) of labels (W,); -1 is an outlier as truth and a rejection as prediction.

    Precision is nan where a class was never predicted, recall and F1 where it never occurs.
    """
    names = np.arange(classes)
    is_true, is_predicted = truth[:, None] == names, predicted[:, None] == names
    hits = weights @ (is_true & is_predicted).astype(np.float64)
    support, claimed = weights @ is_true.astype(np.float64), weights @ is_predicted.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hits / claimed
        recall = hits / support
        f1 = np.where(support > 0, 2 * hits / (support + claimed), np.nan)
    return precision, recall, f1


def macro_f1(truth: Ints, predicted: Ints, weights: Floats, *, classes: int) -> Floats:
    """Mean F1 over the classes that occur (B,). An accepted outlier is a false positive of the class it is taken for."""
    f1 = class_scores(truth, predicted, weights, classes=classes)[2]
    occurs = np.isfinite(f1)
    return _divide(np.where(occurs, f1, 0).sum(1), occurs.sum(1))


def share(hit: NDArray[Any], weights: Floats, *, among: Bools | None = None) -> Floats:
    """Weighted share of windows where `hit` (W,), among those marked (B,)."""
    among = np.ones(len(hit), bool) if among is None else among
    return _divide((weights * (hit & among)).sum(1), (weights * among).sum(1))


def _divide(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    result: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return result
