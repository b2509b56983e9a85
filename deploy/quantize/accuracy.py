"""The accuracy of a network on windows that training did not use, and what a variant loses of it.

The numbers are those of `edge-train evaluate`, without their intervals: the two networks are
compared on the same windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from edge.bundle import Head
from edge.bundle.windows import KNOWN, LEFT_OUT, QUIET, UNKNOWN, Split

__all__ = [
    "ALL",
    "NOISES",
    "UNKNOWNS",
    "Accuracy",
    "Outputs",
    "judge",
    "losses",
    "novelty_of",
    "rethreshold",
]

# Sorts of outliers, in words.
UNKNOWNS = "unknown species"
NOISES = "noise and background"
ALL = "all, unknown species half"

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a network answers to n windows: embedding (n, D), L2-normalised, and logits (n, K).

    `extra_outputs` are any others, (n, ...) each.
    """

    embedding: Array
    logits: Array
    extra_outputs: Mapping[str, Array] = field(default_factory=dict)

    @property
    def every(self) -> tuple[Array, ...]:
        """All outputs, in their order."""
        return (self.embedding, self.logits, *self.extra_outputs.values())


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How good a network is on a split; every number is 0..1.

    macro_f1, top1  per recording, of known species, without rejection
    auroc           per window, known ones against each sort of outlier that the split has
    accepted        share of each sort of window whose novelty is not above the threshold
    """

    macro_f1: float
    top1: float
    auroc: dict[str, float]
    accepted: dict[str, float]

    def as_mapping(self) -> dict[str, Any]:
        """Return the numbers for the manifest, with the keys that `edge-train export` uses."""
        return {
            "macro_f1_per_recording": round(self.macro_f1, 4),
            "top1_per_recording": round(self.top1, 4),
            "auroc": {name: round(value, 4) for name, value in self.auroc.items()},
            "accepted": {name: round(value, 4) for name, value in self.accepted.items()},
        }


def judge(split: Split, outputs: Outputs, head: Head) -> Accuracy:
    """Return the accuracy of a network that answered `outputs` to the windows of `split`."""
    novelty = novelty_of(head, outputs)
    macro_f1, top1 = _per_recording(split, head.scores(outputs.logits).astype(np.float64))
    kinds = {name: mask for name, mask in _outliers(split) if mask.any()}
    auroc = {name: _auroc(novelty[split.known], novelty[mask]) for name, mask in kinds.items()}
    if len(auroc) == 2:
        noises = [
            _auroc(novelty[split.known], novelty[split.kind == kind])
            for kind in np.unique(split.kind[kinds[NOISES]])
        ]
        auroc[ALL] = (auroc[UNKNOWNS] + float(np.mean(noises))) / 2
    accepted = {
        name: float(np.mean(novelty[mask] <= head.threshold))
        for name, mask in {KNOWN: split.known, **kinds}.items()
    }
    return Accuracy(macro_f1=macro_f1, top1=top1, auroc=auroc, accepted=accepted)


def losses(before: Accuracy, after: Accuracy) -> dict[str, tuple[float, float]]:
    """Return (before, after) of each number that must not get worse, by name."""
    pairs = {"macro F1 per recording": (before.macro_f1, after.macro_f1)}
    return pairs | {
        f"AUROC, {name}": (value, after.auroc[name]) for name, value in before.auroc.items()
    }


def novelty_of(head: Head, outputs: Outputs) -> NDArray[np.float64]:
    """Return the raw novelty (n,) by the head's rule."""
    return np.asarray(head.rule.novelty(outputs.embedding, outputs.logits), np.float64)


def rethreshold(known: NDArray[np.float64], accepted: int) -> tuple[float, float]:
    """Return threshold and scale that accept so many of the known windows, of raw novelty (n,).

    `accepted` is 1 or more.
    """
    return float(np.sort(known)[accepted - 1]), max(float(known.std()), 1e-6)


def _outliers(split: Split) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each sort of outlier, and which windows (n,) are of it."""
    yield UNKNOWNS, split.kind == UNKNOWN
    yield NOISES, ~np.isin(split.kind, [KNOWN, UNKNOWN, LEFT_OUT, QUIET])


def _auroc(known: NDArray[np.float64], outliers: NDArray[np.float64]) -> float:
    """Return the chance that an outlier is more novel than a known window.

    A tie counts as half a chance (Mann and Whitney 1947).
    """
    ranks = rankdata(np.concatenate([known, outliers]))[len(known) :]
    return float(
        (ranks.sum() - len(outliers) * (len(outliers) + 1) / 2) / (len(known) * len(outliers))
    )


def _per_recording(split: Split, scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return macro F1 and top-1 of the label with the largest mean of `scores` (n, K).

    The mean is over the windows of a recording in which something is heard.
    """
    truth, answer = [], []
    for recording in np.unique(split.recording[split.origin == KNOWN]):
        own = split.recording == recording
        heard = own & (split.kind != QUIET)
        # It is -1 when the recording is quiet throughout: every answer is wrong.
        truth.append(split.species[own].max())
        answer.append(scores[heard if heard.any() else own].mean(axis=0).argmax())
    true, answered = np.array(truth), np.array(answer)
    f1 = [
        2 * np.sum((true == k) & (answered == k)) / (np.sum(true == k) + np.sum(answered == k))
        for k in np.unique(true)
        if k >= 0
    ]
    return float(np.mean(f1)), float(np.mean(true == answered))
