"""From which score on a window carries a label, where it may carry several: found by validation.

What is found goes into the head, so that a bundle decides with what its report was made with. It is
the threshold that is best for all labels together by micro F1 (`train.judging.nocall_f1`), and for
a label with enough windows in validation one of its own, given those of the others. Windows that
the head's rule rejects carry nothing, whatever their scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.judging.nocall_f1 import Rows, at_least, best_threshold

__all__ = ["FEWEST_RECORDINGS", "FEWEST_WINDOWS", "find_thresholds"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEWEST_WINDOWS, FEWEST_RECORDINGS = 10, 3  # of a label that has a threshold of its own
ROUNDS = 20  # at most, over all labels: each depends on those of the others


def find_thresholds(rows: Rows) -> tuple[float, ...]:
    """Return the threshold (K,) of each label, above 0 and at most 1; float32 has them exactly.

    Each is halfway to the next lower score, so that an engine that rounds otherwise decides the
    same.
    """
    shared = best_threshold(rows)
    thresholds = np.full(rows.scores.shape[1], _halfway(shared, rows.scores.ravel()))
    enough = [k for k in range(len(thresholds)) if _has_enough(rows, k)]
    passes = rows.scores >= thresholds
    for _ in range(ROUNDS):
        before = thresholds.copy()
        for k in enough:
            passes[:, k] = False
            thresholds[k] = _best_of(rows, k, passes)
            passes[:, k] = rows.scores[:, k] >= thresholds[k]
        if (before == thresholds).all():
            break
    return tuple(map(float, thresholds))


def _has_enough(rows: Rows, k: int) -> bool:
    recordings = rows.recording[rows.present[:, k]]
    many = len(recordings) >= FEWEST_WINDOWS
    return many and len(np.unique(recordings)) >= FEWEST_RECORDINGS


def _best_of(rows: Rows, k: int, others: Mask) -> float:
    """Return the best threshold of label `k` by micro F1, where `others` (N, K) are given."""
    count, score, nocall = others.sum(axis=1), rows.scores[:, k], rows.wanted == 0
    own = score[rows.present[:, k]]
    tried = np.unique(np.append(own[own > 0], np.nextafter(score.max(initial=0.0), np.inf)))
    # In place of nocall a label costs nothing of what is said, but perhaps a hit.
    alone = count == 0
    hits = (others & rows.present).sum() + (alone & nocall).sum()
    hits = hits + at_least(own, tried) - at_least(score[alone & nocall], tried)
    said = np.maximum(count, 1).sum() + at_least(score[~alone], tried)
    f1 = 2 * hits / (said + np.maximum(rows.wanted, 1).sum())
    return _halfway(float(tried[len(f1) - 1 - int(np.argmax(f1[::-1]))]), score)


def _halfway(threshold: float, scores: Floats) -> float:
    """Return what lies between the threshold and the next lower score, or 0.

    Of a threshold above every score, it is halfway between these and 1.
    """
    highest = float(scores.max(initial=0.0))
    upper = threshold if threshold <= highest else 1.0
    lower = float(scores[scores < upper].max(initial=0.0))
    between = float(np.float32((upper + lower) / 2))
    return between if lower < between <= upper else upper
