"""A fitted rule as a head, with its thresholds, and the row of numbers by which it is chosen."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import Activation, Head, Rule
from train.corpus.corpus import Corpus
from train.judging.contrasts import NOISES
from train.judging.judged import judge_windows
from train.judging.label_thresholds import find_thresholds
from train.judging.metrics import OpenSet, macro_f1
from train.judging.nocall_f1 import windows_as_rows
from train.judging.rules import PAPER
from train.judging.truth import UNKNOWN, Truth
from train.windows.outputs import WindowOutputs

__all__ = ["head_at", "macro_auroc", "novelty_of", "row_of", "with_thresholds"]

PAPER_THRESHOLD = -float(np.log(0.5))  # the paper rejects when the density is below 0.5

Novelty = NDArray[np.float64]


def novelty_of(rule: Rule, outputs: WindowOutputs) -> Novelty:
    """Return the raw novelty of every window (W,)."""
    return np.asarray(rule.novelty(outputs.embedding, outputs.logits), np.float64)


def head_at(
    name: str, rule: Rule, known: NDArray[Any], activation: Activation, acceptance: float
) -> Head:
    """Return the head of a rule, by the novelty of `known` windows of validation.

    The rule of the paper has the paper's own threshold.
    """
    # "higher": at least `acceptance` of the knowns pass, whatever the number of windows
    threshold = (
        PAPER_THRESHOLD if name == PAPER else float(np.quantile(known, acceptance, method="higher"))
    )
    scale = max(float(known.std()), 1e-6)
    return Head(activation=activation, rule=rule, threshold=threshold, scale=scale)


def with_thresholds(head: Head, corpus: Corpus, validation: WindowOutputs) -> Head:
    """Return a head whose labels have thresholds, where a window may carry several."""
    if head.activation != "sigmoid":
        return head
    verdicts = head(validation.embedding, validation.logits)
    scores = np.where(verdicts.accepted[:, np.newaxis], verdicts.scores, 0).astype(np.float64)
    rows = windows_as_rows(corpus, validation, scores, np.arange(len(validation)))
    return dataclasses.replace(head, label_thresholds=find_thresholds(rows))


def macro_auroc(novelty: NDArray[Any], truth: Truth) -> tuple[float, float]:
    """Return AUROC and FPR95 of knowns against outliers.

    Half of it is of unknown species, half the mean over the kinds of noise and background.
    """
    auroc, fpr = np.mean(list(_halves(novelty, truth).values()), axis=0)
    return float(auroc), float(fpr)


def _halves(novelty: NDArray[Any], truth: Truth) -> dict[str, NDArray[np.float64]]:
    """Return (AUROC, FPR95) against unknown species and against noise, of those that there are."""
    kinds = {UNKNOWN: truth.kind[truth.unknown], NOISES: truth.kind[truth.noise]}
    return {
        name: np.mean(
            [_against(novelty, truth, truth.kind == kind) for kind in np.unique(found)], axis=0
        )
        for name, found in kinds.items()
        if len(found)
    }


def _against(
    novelty: NDArray[Any], truth: Truth, outliers: NDArray[np.bool_]
) -> tuple[float, float]:
    chosen = truth.known | outliers
    open_set = OpenSet(
        novelty[chosen].astype(np.float64), truth.known[chosen], np.zeros(chosen.sum(), bool)
    )
    once = np.ones((1, int(chosen.sum())))
    numbers = open_set.numbers(once)
    return float(numbers["auroc"][0]), float(numbers["fpr95"][0])


def row_of(
    name: str, head: Head, truth: Truth, outputs: WindowOutputs, novelty: NDArray[Any]
) -> dict[str, Any]:
    """Return the numbers of a head on windows, of which the rule gives this `novelty` (W,)."""
    auroc, fpr = macro_auroc(novelty, truth)
    predicted = judge_windows(outputs, truth, head).opened
    accepted = predicted >= 0
    counted = truth.known | truth.unknown | truth.noise
    once = np.ones((1, counted.sum()))
    classes = len(outputs.labels)
    f1 = macro_f1(truth.species[counted], predicted[counted], once, classes=classes)
    kinds = {UNKNOWN: truth.unknown, NOISES: truth.noise}
    halves = {f"auroc {kind}": float(half[0]) for kind, half in _halves(novelty, truth).items()}
    rejected = {
        f"rejected {kind}": round(float(np.mean(~accepted[mask])), 4)
        for kind, mask in kinds.items()
        if mask.any()
    }
    return {
        "rule": name,
        "auroc": auroc,
        "fpr95": fpr,
        "acceptance": float(accepted[truth.known].mean()),
        "macro_f1": float(f1[0]),
        **halves,
        **rejected,
    }
