"""Lists of species for chunks of 5 s as BirdCLEF 2020's submissions had them (system S2).

Clementino and Colonna 2020, section 3.3: of each chunk the ten likeliest species, cut to those of
the recording's region, with weights that descend along the list; submission 5 weighs all alike.
Reading taken as in its authors' published code: the region is cut first, so that ten are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from train.judging.ranking import TOP, ranks

__all__ = ["Lists", "Weights", "class_wise", "lists_of", "sample_wise"]

Weights = Literal["descending", "equal"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Lists of N chunks: `order` (N, L) are the species, the likeliest first, and their weights.

    Each has its `rank` (N, L), 0 the first; of equal scores all have that of the last. `weights`
    (N, L) are in 0..1, and 0 for what does not fit into the list with all that equal it.
    """

    order: Ints
    rank: Ints
    weights: Floats


def lists_of(
    scores: Floats, *, region: NDArray[np.bool_], weights: Weights, top: int = TOP
) -> Lists:
    """Return the lists of chunks with `scores` (N, K) of the species in a `region` (K,).

    Descending weights fall evenly from 1 to 1 / L.
    """
    there = np.flatnonzero(region)
    first = np.argsort(-scores[:, there], axis=1, kind="stable")[:, :top]
    rank = np.take_along_axis(ranks(scores[:, there]), first, axis=1)
    length = first.shape[1]
    falling = 1 - rank / max(1, length)
    each = falling if weights == "descending" else np.ones_like(falling)
    return Lists(order=there[first], rank=rank, weights=np.where(rank < length, each, 0.0))


def sample_wise(lists: Lists, truth: Ints) -> float:
    """Return r-mAP: the mean of 1 / rank of the species (N,) of each chunk, 0 where not listed.

    A chunk without a species, -1, is left out.
    """
    chunks = truth >= 0
    found = (lists.order[chunks] == truth[chunks, np.newaxis]) & (lists.weights[chunks] > 0)
    ranked = (found / (1 + lists.rank[chunks])).sum(axis=1)
    return float(ranked.mean()) if len(ranked) else float("nan")


def class_wise(lists: Lists, truth: Ints, *, classes: int) -> float:
    """Return c-mAP: the mean over species that occur of their chunks' average precision.

    Chunks are ordered by the weight that the species has in them. Those of one weight come
    together: equal weights leave only how many of the chunks that list a species have it.
    """
    precisions = [
        _average_precision(lists, truth == species, species)
        for species in range(classes)
        if (truth == species).any()
    ]
    return float(np.mean(precisions)) if precisions else float("nan")


def _average_precision(lists: Lists, relevant: NDArray[np.bool_], species: int) -> float:
    weight = np.where(lists.order == species, lists.weights, 0).sum(axis=1)
    total, before = 0.0, 0
    for least in np.unique(weight[weight > 0])[::-1]:
        listed = weight >= least
        hits = int((listed & relevant).sum())
        total += (hits - before) * hits / int(listed.sum())
        before = hits
    return total / int(relevant.sum())
