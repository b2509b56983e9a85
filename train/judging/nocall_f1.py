"""The measure of BirdCLEF 2021: micro F1 of rows of 5 s, with `nocall` for hearing nothing.

A row is given the labels whose scores pass a threshold, else nocall; the threshold is the best one
of the validation split. What post-processing adds (Shugayev et al. 2021, 2.5) is measured beside
it: a sliding window, as the recorder has it, and a correction by the whole recording, which is
known only at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.corpus.corpus import Corpus
from train.judging.metrics import Bootstrap, Estimate
from train.judging.truth import truth_of
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = [
    "VARIANTS",
    "Rows",
    "best_threshold",
    "corrected",
    "judge_rows",
    "micro_f1",
    "rows_of",
    "slid",
]

PASSED, GAIN = 0.5, 1.3
Floats = NDArray[np.float64]
Scores = Callable[[NDArray[np.float32]], NDArray[Any]]  # a head's, of logits


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N rows of 5 s.

    It holds their `recording` (N,) and a number for its kind `stratum` (N,), the position of their
    label `species` (N,; -1 is nocall), and `scores` (N, K).
    """

    recording: NDArray[np.int64]
    stratum: NDArray[np.int64]
    species: NDArray[np.int64]
    scores: Floats


def judge_rows(
    corpus: Corpus,
    validation: WindowOutputs,
    test: WindowOutputs,
    scores: Scores,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return how many rows there are, and what each way of post-processing gives.

    A variant has its threshold, F1, and gain over no post-processing. Estimates are not rounded
    yet; those of the gain are of the same resamples.
    """
    learnt, judged = (_variants(corpus, outputs, scores) for outputs in (validation, test))
    raw = judged["none"]
    draw = Bootstrap(recording=raw.recording, stratum=raw.stratum, resamples=resamples, seed=seed)
    thresholds = {name: best_threshold(rows) for name, rows in learnt.items()}
    variants = [
        {
            "post_processing": name,
            "threshold": threshold,
            "validation": _plain_f1(learnt[name], threshold),
            **_estimates(judged[name], threshold, raw, thresholds["none"], draw),
        }
        for name, threshold in thresholds.items()
    ]
    return {"rows": len(raw.species), "nocall": int((raw.species < 0).sum()), "variants": variants}


def rows_of(corpus: Corpus, outputs: WindowOutputs, scores: Floats) -> Rows:
    """Return every second window of `scores` (W, K), which do not overlap, as rows.

    Noise, unknown species and quiet windows are nocall.
    """
    truth = truth_of(corpus, outputs)
    place = _places(outputs)
    _, first = np.unique(np.stack([outputs.recording, place]), axis=1, return_index=True)
    rows = np.sort(first[place[first] % 2 == 0])
    return Rows(
        recording=outputs.recording[rows],
        stratum=np.unique(truth.origin[rows], return_inverse=True)[1].astype(np.int64),
        species=truth.species[rows],
        scores=scores[rows],
    )


def slid(outputs: WindowOutputs, scores: Floats) -> Floats:
    """Return 0.5 p(t) + 0.25 p(t - 2.5 s) + 0.25 p(t + 2.5 s) for scores p (W, K).

    A missing neighbour's share goes to the others, as in `edge.detect.smoothing`.
    """
    place = _places(outputs)
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


def micro_f1(rows: Rows, threshold: float, weights: Floats) -> Floats:
    """Return micro F1 (B,) under weights (B, N).

    It counts all pairs of a row and a label, with nocall among the labels.
    """
    hit, said = _counts(rows, threshold)
    # A row has one true label.
    result: Floats = 2 * (weights @ hit) / (weights @ said + weights.sum(axis=1))
    return result


def _plain_f1(rows: Rows, threshold: float) -> float:
    return float(micro_f1(rows, threshold, np.ones((1, len(rows.species))))[0])


def best_threshold(rows: Rows) -> float:
    """Return the score from which on labels are best given.

    It is the highest of equally good ones, and may be above every score.
    """
    largest = rows.scores.max(axis=1)
    known = rows.species >= 0
    own = rows.scores[known, rows.species[known]]
    never = np.nextafter(largest.max(initial=0.0), np.inf)
    # A higher threshold says less, and costs a hit only where it passes a true label's score: the
    # best is one of those, or none.
    tried = np.unique(np.append(own, never))

    def at_least(values: Floats) -> Floats:
        """Return how many of `values` are at or above each score tried."""
        return len(values) - np.searchsorted(np.sort(values), tried, side="left").astype(np.float64)

    silent = len(largest) - at_least(largest)
    hits = at_least(own) + (~known).sum() - at_least(largest[~known])
    f1 = 2 * hits / (at_least(rows.scores.ravel()) + silent + len(largest))
    return float(tried[len(f1) - 1 - int(np.argmax(f1[::-1]))])


def _counts(rows: Rows, threshold: float) -> tuple[Floats, Floats]:
    """Return of each row (N,) whether its true label is given, and how many labels are.

    Saying nocall counts as giving one label.
    """
    passes = rows.scores >= threshold
    count = passes.sum(axis=1)
    known = rows.species >= 0
    own = passes[np.arange(len(count)), np.maximum(rows.species, 0)]
    hit = np.where(known, own, count == 0).astype(np.float64)
    return hit, np.maximum(count, 1).astype(np.float64)


def _variants(corpus: Corpus, outputs: WindowOutputs, scores: Scores) -> dict[str, Rows]:
    given = np.asarray(scores(outputs.logits), np.float64)
    return {
        name: rows_of(corpus, outputs, refine(outputs, given)) for name, refine in VARIANTS.items()
    }


def _estimates(
    rows: Rows, threshold: float, raw: Rows, raw_threshold: float, draw: Bootstrap
) -> dict[str, Estimate]:
    def numbers(weights: Floats) -> dict[str, Floats]:
        f1 = micro_f1(rows, threshold, weights)
        return {"micro_f1": f1, "gain": f1 - micro_f1(raw, raw_threshold, weights)}

    return draw.estimates(numbers)


def _places(outputs: WindowOutputs) -> NDArray[np.int64]:
    """Return which window of its recording each one is (W,), counted in hops.

    It is rounded, because a hop is a whole number of frames of the frontend.
    """
    return np.rint(outputs.start_s / HOP_S).astype(np.int64)
