"""Assign groups of recordings to bins: simulated annealing over which species is where.

An exact answer is a set-cover problem; a few seconds of annealing (Kirkpatrick et al. 1983) reach
what 163 recordists allow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["anneal_counts"]

Counts = NDArray[np.int64]

STEPS_PER_GROUP = 250
MOST_STEPS = 60_000
RESTARTS = 2
HOT = 4.0
COLD = 0.02
# What it costs a species to be nowhere in training (never accepted), test or validation, or to lack
# one more training fold.
NO_TRAINING = 1000.0
NO_TEST = 10.0
NO_VALIDATION = 7.0
NO_FOLD = 0.3
OFF_SHARE = 20.0
EXTRA = 1500.0


def _class_cost(
    counts: Counts, targets: NDArray[np.float64], extra: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the cost (C,) of recordings per class and bin (C, 1 + F).

    It rises with the distance from the wanted shares `targets` (C, 1 + F). Bins are test,
    validation, training...; classes marked `extra` (C,) weigh by their shares alone.
    """
    absent = counts == 0
    cost = (
        NO_TEST * absent[:, 0] * (targets[:, 0] > 0)
        + NO_VALIDATION * absent[:, 1]
        + NO_FOLD * absent[:, 2:].sum(1)
    )
    off = counts / np.maximum(counts.sum(1, keepdims=True), 1) - targets
    # How a species spreads over the training folds hardly matters; that little of it is left to
    # train on does.
    three_way = np.square(off[:, :2]).sum(1) + np.square(off[:, 2:].sum(1))
    known = cost + NO_TRAINING * absent[:, 2:].all(1) + OFF_SHARE * three_way
    result: NDArray[np.float64] = np.where(extra, EXTRA * np.square(off).sum(1), known)
    return result


def anneal_counts(
    counts: Counts,
    targets: NDArray[np.float64],
    *,
    extra_classes: int,
    rng: np.random.Generator,
    steps_per_group: int = STEPS_PER_GROUP,
) -> Counts:
    """Return the bin (G,) of each group, in the cheapest assignment found.

    `counts` are recordings per group and class (G, C), `targets` wanted shares (C, 1 + F). The last
    `extra_classes` need not be anywhere, only near their share. Deterministic for a generator's
    state.
    """
    extra = np.arange(counts.shape[1]) >= counts.shape[1] - extra_classes
    best, best_cost = np.zeros(len(counts), np.int64), np.inf
    for _ in range(RESTARTS):
        length = min(MOST_STEPS, steps_per_group * len(counts))
        bins = _anneal(counts, targets, extra, rng, length=length)
        cost = _class_cost(_per_bin(counts, bins, targets.shape[1]), targets, extra).sum()
        if cost < best_cost:
            best, best_cost = bins, cost
    return _cover_training(counts, best, extra)


def _per_bin(counts: Counts, bins: Counts, n_bins: int) -> Counts:
    """Return the recordings per class and bin (C, 1 + F)."""
    table = np.zeros((n_bins, counts.shape[1]), np.int64)
    np.add.at(table, bins, counts)
    return table.T


def _anneal(
    counts: Counts,
    targets: NDArray[np.float64],
    extra: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    length: int,
) -> Counts:
    n_groups, n_bins = len(counts), targets.shape[1]
    bins = rng.choice(n_bins, n_groups, p=targets[0])
    table = _per_bin(counts, bins, n_bins)
    present = [np.flatnonzero(row) for row in counts]
    costs = _class_cost(table, targets, extra)
    moves = rng.integers(n_groups, size=length)
    shifts = rng.integers(1, n_bins, size=length)
    luck = -np.log(rng.uniform(1e-12, 1, size=length)) * np.geomspace(HOT, COLD, length)
    for group, shift, tolerated in zip(moves.tolist(), shifts.tolist(), luck.tolist(), strict=True):
        classes, source = present[group], bins[group]
        target = (source + shift) % n_bins
        moved = table[classes]
        moved[:, source] -= counts[group, classes]
        moved[:, target] += counts[group, classes]
        after = _class_cost(moved, targets[classes], extra[classes])
        if after.sum() - costs[classes].sum() <= tolerated:
            table[classes] = moved
            costs[classes] = after
            bins[group] = target
    return bins


def _cover_training(counts: Counts, bins: Counts, extra: NDArray[np.bool_]) -> Counts:
    """Return the bins, changed so that every class trains, whatever the annealing left.

    The smallest group of a class that does not train moves to the first training fold.
    """
    bins = bins.copy()
    for label in np.flatnonzero(~extra):
        members = np.flatnonzero(counts[:, label])
        if len(members) and (bins[members] < 2).all():
            bins[members[np.argmin(counts[members].sum(1))]] = 2
    return bins
