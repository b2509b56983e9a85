"""Numbers for closed-set and open-set recognition, each with a bootstrap interval.

Every metric takes `weights` (B, W): how much each of W windows counts in each of B resamples; it
returns (B,). The plain number is the metric under weights of one. Novelty grows as a window looks
less known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bootstrap",
    "Estimate",
    "OpenSet",
    "class_scores",
    "divided",
    "macro_f1",
    "mean_of",
    "share",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CHUNK = 50  # resamples at once
KEPT = 20_000_000  # weights that are kept in memory, 160 MB
ACCEPTANCE = 0.95  # of the known windows, at which outliers are counted for fpr95


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
    """Reweights whole recordings: windows of one recording are not independent.

    `recording` (W,) names each window's recording, `stratum` (W,) a number per recording's kind:
    each kind keeps its total weight. The weights are those of the Bayesian bootstrap (Rubin 1981):
    drawing with replacement would lose the species with one or two recordings from a third of the
    resamples, and with them the low F1 that they often have. What is left of that bias in a mean
    over species is taken out of the interval: it is the percentile interval moved so that its
    median is the plain number.
    """

    recording: Ints
    stratum: Ints
    resamples: int = 500
    seed: int = 0
    most_kept: int = KEPT

    def estimates(self, metrics: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Estimate]:
        """Return each of several numbers with its interval (percentiles); nan if undefined."""
        plain = metrics(np.ones((1, len(self.recording))))
        chunks = [metrics(weights) for weights in self.weights()]
        return {
            name: _interval(float(value[0]), [chunk[name] for chunk in chunks])
            for name, value in plain.items()
        }

    def estimate(self, metric: Callable[[Floats], Floats]) -> Estimate:
        """Return one number with its interval.

        Equal objects draw equal weights, so a difference of two systems is paired.
        """
        return self.estimates(lambda weights: {"": metric(weights)})[""]

    def weights(self) -> Iterator[Floats]:
        """Yield weights (B, W) of the resamples, `CHUNK` at a time.

        They are kept when they are small, since every number needs them.
        """
        if self.resamples * len(self.recording) <= self.most_kept:
            yield from self._kept
        else:
            yield from self._drawn()

    @cached_property
    def _kept(self) -> list[Floats]:
        return list(self._drawn())

    def _drawn(self) -> Iterator[Floats]:
        names, first, position = np.unique(self.recording, return_index=True, return_inverse=True)
        strata = [
            np.flatnonzero(self.stratum[first] == stratum) for stratum in np.unique(self.stratum)
        ]
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, CHUNK):
            weights = np.zeros((min(CHUNK, self.resamples - start), len(names)))
            for members in strata:
                shares = rng.dirichlet(np.ones(len(members)), size=len(weights))
                weights[:, members] = shares * len(members)
            yield weights[:, position]


def _interval(value: float, chunks: Sequence[Floats]) -> Estimate:
    values = np.concatenate(chunks) if chunks else np.empty(0)
    values = values[np.isfinite(values)]
    if not (len(values) and np.isfinite(value)):
        return Estimate(value=value, low=np.nan, high=np.nan)
    low, middle, high = np.percentile(values, [2.5, 50, 97.5])
    # The move must not leave the range of a share, or of a difference of shares.
    least = 0.0 if values.min() >= 0 else -1.0
    return Estimate(
        value=value,
        low=max(least, float(value + low - middle)),
        high=min(1.0, float(value + high - middle)),
    )


@dataclass(frozen=True)
class OpenSet:
    """Knowns against outliers, ranked by novelty.

    `novelty` (W,), `known` (W,), and `correct` (W,) where the label is right. All curves are read
    at every distinct novelty; ties count half.
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
        if not len(ranked):
            return np.empty(0, np.int64)
        return np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def _accepted(self, weights: Floats, mask: Bools, total: Floats) -> Floats:
        """Return the share (B, 1 + L) of `total` (B, 1) that is accepted.

        The first column is 0; the others are at the threshold of each of L levels.
        """
        levels = (weights * mask)[:, self._order]
        if len(self._starts) < levels.shape[1]:  # ties; without them this is a slow copy
            levels = np.add.reduceat(levels, self._starts, axis=1)
        shares: Floats = np.cumsum(levels, axis=1) / total
        return np.concatenate([np.zeros((len(weights), 1)), shares], axis=1)

    def numbers(self, weights: Floats) -> dict[str, Floats]:
        """Return three numbers, each (B,).

        auroc: chance that an outlier is more novel than a known window. fpr95: share of outliers
        accepted where 95 % of the known windows are. oscr: area under correct classification rate
        against false positive rate (Dhamija et al. 2018, reducing network agnostophobia).
        """
        known, outliers = self._curve(weights, self.known), self._curve(weights, ~self.known)
        correct = self._accepted(
            weights, self.known & self.correct, self._total(weights, self.known)
        )
        # A cumulative sum that should end at 0.95 may be a rounding error below it.
        at = np.argmax(known >= ACCEPTANCE - 1e-9, axis=1)
        fpr = np.take_along_axis(outliers, at[:, None], axis=1)[:, 0]
        return {
            "auroc": self._area(known, outliers),
            "fpr95": np.where(np.isfinite(known[:, -1]), fpr, np.nan),
            "oscr": self._area(correct, outliers),
        }

    def auroc(self, weights: Floats) -> Floats:
        """Return the AUROC alone (B,)."""
        return self._area(self._curve(weights, self.known), self._curve(weights, ~self.known))

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


def class_scores(
    truth: Ints, predicted: Ints, weights: Floats, *, classes: int
) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and F1 (B, K) of labels (W,).

    -1 is an outlier as truth and a rejection as prediction. Precision is nan where a class was
    never predicted, recall and F1 where it never occurs.
    """
    names = np.arange(classes)
    is_true, is_predicted = truth[:, None] == names, predicted[:, None] == names
    hits = weights @ (is_true & is_predicted).astype(np.float64)
    support = weights @ is_true.astype(np.float64)
    claimed = weights @ is_predicted.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hits / claimed
        recall = hits / support
        f1 = np.where(support > 0, 2 * hits / (support + claimed), np.nan)
    return precision, recall, f1


def macro_f1(truth: Ints, predicted: Ints, weights: Floats, *, classes: int) -> Floats:
    """Return the mean F1 over the classes that occur (B,).

    An accepted outlier is a false positive of the class it is taken for.
    """
    f1 = class_scores(truth, predicted, weights, classes=classes)[2]
    occurs = np.isfinite(f1)
    return divided(np.where(occurs, f1, 0).sum(1), occurs.sum(1))


def share(hit: Bools, weights: Floats, *, among: Bools) -> Floats:
    """Return the weighted share (B,) of the windows marked `among` (W,) where `hit` (W,)."""
    return divided(weights @ (hit & among).astype(np.float64), weights @ among.astype(np.float64))


def divided(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Return part / whole, nan where the whole is 0."""
    result: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return result


def mean_of(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean (B,) of values (N,), of which those that are nan do not count."""
    known = np.isfinite(values)
    return divided(weights @ np.where(known, values, 0), weights @ known.astype(np.float64))
