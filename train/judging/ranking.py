"""Mean average precision over lists of species ordered by score, the measure of BirdCLEF.

As in `train.judging.metrics`, `weights` (B, N) say how much each of N windows or recordings counts
in each of B resamples. Where truth (N,) is one species each, the average precision of a list is 1 /
rank of that species, 0 where the list does not name it; `list_precision` is that of several.

Equal scores have no order: they come together, and count from where the last of them stands, as in
scikit-learn's `average_precision_score`. So neither the order of files nor that of labels matters.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.files import replacing
from train.judging.metrics import divided

__all__ = [
    "TOP",
    "class_precision",
    "class_wise_map",
    "list_precision",
    "ranks",
    "sample_wise_map",
    "write_lists",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TOP = 10  # species of a list, as the submissions of BirdCLEF 2020 had


def ranks(scores: NDArray[Any]) -> Ints:
    """Return the rank (N, K) of every species in its row of scores (N, K); 0 is the first.

    Of equal scores all have the rank of the last: a list that is cut before it has none of them.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, _ends(np.take_along_axis(scores, order, axis=1)), axis=1)
    return places


def sample_wise_map(
    truth: Ints, scores: NDArray[Any], weights: Floats, *, top: int | None = None
) -> Floats:
    """Return r-mAP (B,): the mean over rows of their list's average precision.

    `top` cuts the lists.
    """
    place = np.take_along_axis(ranks(scores), truth[:, None], axis=1)[:, 0]
    precision = np.where(place < (scores.shape[1] if top is None else top), 1 / (1 + place), 0)
    return divided(weights @ precision, weights.sum(axis=1))


def class_wise_map(
    truth: Ints, scores: NDArray[Any], weights: Floats, *, top: int | None = None
) -> Floats:
    """Return c-mAP (B,): the mean over species that occur.

    A species' own is the average precision of the rows that list it, by score.
    """
    listed = ranks(scores) < (scores.shape[1] if top is None else top)
    precisions = np.stack(
        [
            class_precision(truth == c, scores[:, c], listed[:, c], weights)
            for c in range(scores.shape[1])
        ]
    )
    occurs = np.isfinite(precisions)
    return divided(np.where(occurs, precisions, 0).sum(axis=0), occurs.sum(axis=0))


def list_precision(
    place: Ints, present: NDArray[np.bool_], wanted: Ints, *, top: int | None = None
) -> Floats:
    """Return the average precision (N,) of lists in which species have the `ranks` `place` (N, T).

    Those `present` (N, T) are right, and in the list. Of all that are `wanted` (N,) some may be in
    no list; it is nan where nothing is wanted.
    """
    listed = present if top is None else present & (place < top)
    ordered = np.sort(np.where(listed, place.astype(np.float64), np.inf), axis=1)
    precision = (1 + _ends(ordered)) / (1 + ordered)
    return divided(precision.sum(axis=1), wanted)


def class_precision(
    relevant: NDArray[np.bool_], score: NDArray[Any], listed: NDArray[np.bool_], weights: Floats
) -> Floats:
    """Return the average precision (B,) of the rows in `listed` (N,) by score (N,).

    It is nan where nothing is relevant.
    """
    order = np.flatnonzero(listed)
    order = order[np.argsort(-score[order], kind="stable")]
    end = _ends(score[order][np.newaxis])[0]
    counted = weights[:, order]
    hits = counted * relevant[order]
    precision = np.divide(
        hits.cumsum(axis=1)[:, end],
        counted.cumsum(axis=1)[:, end],
        out=np.zeros_like(hits),
        where=hits > 0,
    )
    return divided((precision * hits).sum(axis=1), weights @ relevant.astype(np.float64))


def _ends(ordered: NDArray[Any]) -> Ints:
    """Return for each value (N, K) of sorted rows where the last one stands that equals it."""
    position = np.broadcast_to(np.arange(ordered.shape[1]), ordered.shape)
    is_last = np.ones(ordered.shape, bool)
    is_last[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    last = np.where(is_last, position, ordered.shape[1])
    ends: Ints = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return ends


def write_lists(
    path: Path, names: Sequence[str], start_s: Floats, labels: Sequence[str], scores: NDArray[Any]
) -> None:
    """Write the `TOP` likeliest species of each window as CSV, a line each; raises OSError.

    Columns are file, seconds from its start, rank, label, score.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    with replacing(path) as staged, staged.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "start_s", "rank", "label", "score"))
        for name, start, row, best in zip(names, start_s, scores, order, strict=True):
            writer.writerows(
                (name, f"{start:.2f}", 1 + i, labels[c], f"{row[c]:.4f}")
                for i, c in enumerate(best)
            )
