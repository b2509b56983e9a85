"""What is done to scores of windows before labels are given (Shugayev et al. 2021, 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import Head, Verdicts
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["VARIANTS", "corrected", "given_scores", "places", "slid"]

PASSED, GAIN = 0.5, 1.3
Floats = NDArray[np.float64]


def given_scores(outputs: WindowOutputs, head: Head, *, slide: bool = False) -> Floats:
    """Return the scores (W, K) of the labels that windows are given, 0 for the others.

    With `slide` scores and novelty are averaged first, as a recorder does with `slide_s: 2.5`.
    """
    verdicts = head(outputs.embedding, outputs.logits)
    if slide:
        scores = slid(outputs, verdicts.scores.astype(np.float64)).astype(np.float32)
        novelty = slid(outputs, verdicts.novelty[:, np.newaxis].astype(np.float64))[:, 0]
        verdicts = Verdicts(
            scores=scores, novelty=novelty.astype(np.float32), accepted=novelty <= 0.5
        )
    return np.where(head.given(verdicts), verdicts.scores, 0).astype(np.float64)


def slid(outputs: WindowOutputs, scores: Floats) -> Floats:
    """Return 0.5 p(t) + 0.25 p(t - 2.5 s) + 0.25 p(t + 2.5 s) for scores p (W, K).

    A missing neighbour's share goes to the others, as in `edge.detect.smoothing`.
    """
    place = places(outputs)
    # Two more than there are places, so that a place before the first is not another recording's.
    keys = outputs.recording * (place.max(initial=0) + 2) + place + 1
    order = np.argsort(keys, kind="stable")
    total, weight = 0.5 * scores, np.full((len(scores), 1), 0.5)
    for offset in (-1, 1):
        at = np.minimum(np.searchsorted(keys[order], keys + offset), len(keys) - 1)
        there = keys[order][at] == keys + offset
        total[there] += 0.25 * scores[order[at[there]]]
        weight[there] += 0.25
    averaged: Floats = total / weight
    return averaged


def corrected(outputs: WindowOutputs, scores: Floats) -> Floats:
    """Return 1.3 times the scores of a label that passes 0.5 anywhere in the recording.

    The result is at most 1. The correction is not causal.
    """
    names, position = np.unique(outputs.recording, return_inverse=True)
    most = np.zeros((len(names), scores.shape[1]))
    np.maximum.at(most, position, scores)
    factor = np.where(most > PASSED, GAIN, 1.0)[position]
    return np.minimum(scores * factor, np.maximum(scores, 1.0))


def _both(outputs: WindowOutputs, scores: Floats) -> Floats:
    return corrected(outputs, slid(outputs, scores))


VARIANTS: Mapping[str, Callable[[WindowOutputs, Floats], Floats]] = {
    "none": lambda outputs, scores: scores,
    "sliding window": slid,
    "global correction": corrected,
    "both": _both,
}


def places(outputs: WindowOutputs) -> NDArray[np.int64]:
    """Return which window of its recording each one is (W,), counted in hops.

    It is rounded, because a hop is a whole number of frames of the frontend.
    """
    return np.rint(outputs.start_s / HOP_S).astype(np.int64)
