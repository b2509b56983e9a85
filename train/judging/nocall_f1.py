"""The measure of BirdCLEF 2021: micro F1 of rows of 5 s, with `nocall` for hearing nothing.

A row is given labels, else nocall: what the head gives, as a bundle does; or those whose scores
pass one threshold, the best of the validation split. What post-processing adds (Shugayev et al.
2021, 2.5) is measured beside both: a sliding window, as the recorder has it, and a correction by
the whole recording, which is known only at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import Head
from train.corpus.corpus import Corpus
from train.judging.metrics import Bootstrap, Estimate, divided
from train.judging.post_processing import VARIANTS, given_scores, places
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

__all__ = [
    "DECIDES",
    "DECIDES_SLID",
    "Rows",
    "at_least",
    "best_threshold",
    "f1_of_rows",
    "judge_rows",
    "judge_scores",
    "micro_f1",
    "resampled_threshold",
    "rows_of",
    "windows_as_rows",
]

DECIDES = "as the bundle decides"
DECIDES_SLID = "as it decides with a sliding window"
RESAMPLED = "both, threshold by resamples"
MOST_TRIED = 100  # thresholds
NOCALL = 2.0  # in a resample nocall counts from a half to so many times as much
ABOVE_0 = float(np.finfo(np.float64).tiny)  # the threshold of scores that are 0 unless given
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Scored = tuple[WindowOutputs, Floats]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N rows of 5 s.

    It holds their `recording` (N,) and a number for its kind `stratum` (N,), which labels are
    `present` (N, K; none of them is nocall), and `scores` (N, K). Of the species that are there,
    `missing` (N,) are none of the labels.
    """

    recording: NDArray[np.int64]
    stratum: NDArray[np.int64]
    present: Mask
    scores: Floats
    missing: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.recording)

    @property
    def wanted(self) -> NDArray[np.int64]:
        """How many species are in each row (N,); 0 is nocall."""
        wanted: NDArray[np.int64] = self.present.sum(axis=1) + self.missing
        return wanted


def judge_rows(
    corpus: Corpus,
    validation: WindowOutputs,
    test: WindowOutputs,
    head: Head,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return how many rows there are, and what the head and each way of post-processing give.

    A variant has its threshold (None: the head's own), F1, and gain over scores without any.
    Estimates are not rounded yet; those of the gain are of the same resamples.
    """
    return _judge(
        *(_variants(corpus, outputs, head) for outputs in (validation, test)),
        resamples=resamples,
        seed=seed,
    )


def judge_scores(
    corpus: Corpus, validation: Scored, test: Scored, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the same as `judge_rows` of windows with scores (W, K) on which no head decides."""
    return _judge(
        *(_refined(corpus, *scored) for scored in (validation, test)),
        resamples=resamples,
        seed=seed,
    )


def _judge(
    learnt: dict[str, Rows], judged: dict[str, Rows], *, resamples: int, seed: int
) -> dict[str, Any]:
    raw = judged["none"]
    draw = Bootstrap(recording=raw.recording, stratum=raw.stratum, resamples=resamples, seed=seed)
    own = (DECIDES, DECIDES_SLID)
    thresholds = {n: ABOVE_0 if n in own else best_threshold(rows) for n, rows in learnt.items()}
    learnt[RESAMPLED], judged[RESAMPLED] = learnt["both"], judged["both"]
    thresholds[RESAMPLED] = resampled_threshold(learnt[RESAMPLED], seed=seed)
    variants = [
        {
            "post_processing": name,
            "threshold": None if name in own else threshold,
            "validation": _plain_f1(learnt[name], threshold),
            **_estimates(judged[name], threshold, raw, thresholds["none"], draw),
        }
        for name, threshold in thresholds.items()
    ]
    return {"rows": len(raw), "nocall": int((raw.wanted == 0).sum()), "variants": variants}


def rows_of(corpus: Corpus, outputs: WindowOutputs, scores: Floats) -> Rows:
    """Return every second window of `scores` (W, K), which do not overlap, as rows.

    Noise, unknown species and quiet windows are nocall.
    """
    place = places(outputs)
    _, first = np.unique(np.stack([outputs.recording, place]), axis=1, return_index=True)
    return windows_as_rows(corpus, outputs, scores, np.sort(first[place[first] % 2 == 0]))


def windows_as_rows(
    corpus: Corpus, outputs: WindowOutputs, scores: Floats, chosen: NDArray[np.int64]
) -> Rows:
    """Return the windows at the positions `chosen` (N,) as rows; else as `rows_of`."""
    truth = truth_of(corpus, outputs)
    labels = np.arange(scores.shape[1])
    return Rows(
        recording=outputs.recording[chosen],
        stratum=np.unique(truth.origin[chosen], return_inverse=True)[1].astype(np.int64),
        present=truth.species[chosen, np.newaxis] == labels,
        scores=scores[chosen],
        missing=np.zeros(len(chosen), np.int64),
    )


def micro_f1(rows: Rows, threshold: float | Floats, weights: Floats) -> Floats:
    """Return micro F1 (B,) under weights (B, N).

    It counts all pairs of a row and a label, with nocall among the labels. The threshold may be one
    for each label (K,).
    """
    passes = rows.scores >= threshold
    right = (passes & rows.present).sum(axis=1)
    return f1_of_rows(right, passes.sum(axis=1), rows.wanted, weights)


def f1_of_rows(
    right: NDArray[np.int64], said: NDArray[np.int64], wanted: NDArray[np.int64], weights: Floats
) -> Floats:
    """Return micro F1 (B,) of rows that are given `said` (N,) labels, of which some are `right`
    (N,), where `wanted` (N,) are; none of either is nocall, which counts as a label.
    """
    hit = np.where(wanted == 0, said == 0, right).astype(np.float64)
    total = np.maximum(said, 1) + np.maximum(wanted, 1)
    return divided(2 * (weights @ hit), weights @ total.astype(np.float64))


def _plain_f1(rows: Rows, threshold: float | Floats) -> float:
    return float(micro_f1(rows, threshold, np.ones((1, len(rows))))[0])


def best_threshold(rows: Rows) -> float:
    """Return the score from which on labels are best given; it is above 0.

    It is the highest of equally good ones, and may be above every score.
    """
    largest = rows.scores.max(axis=1)
    nocall = rows.wanted == 0
    own = rows.scores[rows.present]
    never = np.nextafter(largest.max(initial=0.0), np.inf)
    # A higher threshold says less, and costs a hit only where it passes a true label's score: the
    # best is one of those, or none.
    tried = np.unique(np.append(own[own > 0], never))
    silent = len(largest) - at_least(largest, tried)
    hits = at_least(own, tried) + nocall.sum() - at_least(largest[nocall], tried)
    said = at_least(rows.scores.ravel(), tried) + silent
    f1 = 2 * hits / (said + np.maximum(rows.wanted, 1).sum())
    return float(tried[len(f1) - 1 - int(np.argmax(f1[::-1]))])


def resampled_threshold(rows: Rows, *, resamples: int = 200, seed: int = 0) -> float:
    """Return the middle one of those that are best in resamples, whole recordings at a time.

    It is what Shugayev et al. 2021 (section 3) propose: chosen with bootstrapping, and with a share
    of nocall that varies, since no site's is known. Else as `best_threshold`.
    """
    draw = Bootstrap(recording=rows.recording, stratum=rows.stratum, resamples=resamples, seed=seed)
    weights = np.concatenate(list(draw.weights()))
    factors = NOCALL ** np.random.default_rng(seed).uniform(-1, 1, (len(weights), 1))
    weights *= np.where(rows.wanted == 0, factors, 1.0)
    own = np.unique(rows.scores[rows.present & (rows.scores > 0)])
    places = np.linspace(0, len(own) - 1, min(len(own), MOST_TRIED)).round().astype(int)
    never = np.nextafter(rows.scores.max(initial=0.0), np.inf)
    tried = np.append(own[places], never)
    f1 = np.stack([micro_f1(rows, threshold, weights) for threshold in tried[::-1]])
    return float(np.quantile(tried[::-1][f1.argmax(axis=0)], 0.5, method="higher"))


def at_least(values: Floats, tried: Floats) -> Floats:
    """Return how many of `values` are at or above each score tried."""
    return len(values) - np.searchsorted(np.sort(values), tried, side="left").astype(np.float64)


def _variants(corpus: Corpus, outputs: WindowOutputs, head: Head) -> dict[str, Rows]:
    scores = head.scores(outputs.logits).astype(np.float64)
    given = {
        DECIDES: given_scores(outputs, head),
        DECIDES_SLID: given_scores(outputs, head, slide=True),
    }
    own = {name: rows_of(corpus, outputs, values) for name, values in given.items()}
    return {**own, **_refined(corpus, outputs, scores)}


def _refined(corpus: Corpus, outputs: WindowOutputs, scores: Floats) -> dict[str, Rows]:
    return {
        name: rows_of(corpus, outputs, refine(outputs, scores)) for name, refine in VARIANTS.items()
    }


def _estimates(
    rows: Rows, threshold: float, raw: Rows, raw_threshold: float, draw: Bootstrap
) -> dict[str, Estimate]:
    def numbers(weights: Floats) -> dict[str, Floats]:
        f1 = micro_f1(rows, threshold, weights)
        return {"micro_f1": f1, "gain": f1 - micro_f1(raw, raw_threshold, weights)}

    return draw.estimates(numbers)
