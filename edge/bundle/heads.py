"""The head: embedding and logits become a verdict, a score per label and a novelty.

A *rule* measures a raw novelty; the head squashes it so that 0.5 is the rejection threshold in
every bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.bundle.rules import (
    RULES,
    Blend,
    Column,
    Energy,
    GaussianDensity,
    GaussianTail,
    JointEnergy,
    KnnDistance,
    MaxLogit,
    Rule,
    rule_arrays,
    rule_from_arrays,
)
from edge.errors import SpecError, shown

__all__ = [
    "RULES",
    "SCORE_THRESHOLD",
    "Activation",
    "Blend",
    "Column",
    "Energy",
    "GaussianDensity",
    "GaussianTail",
    "Head",
    "JointEnergy",
    "KnnDistance",
    "MaxLogit",
    "Rule",
    "Verdicts",
    "rule_arrays",
    "rule_from_arrays",
]

Array = NDArray[np.float32]
Activation = Literal["softmax", "softmax_other", "sigmoid"]
SCORE_THRESHOLD = 0.5  # of labels without a threshold of their own, where a window carries several


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The verdicts on B windows: scores (B, K) and novelty (B,), both in 0..1, and `accepted` (B,).

    A window is rejected when its novelty is above 0.5.
    """

    scores: Array
    novelty: Array
    accepted: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The decision: `activation` makes scores, `rule` measures novelty, `threshold` rejects.

    `softmax_other` is a softmax against an implicit further logit of 0, 'none of these': the scores
    need not add up to 1. `scale` is the spread of the raw novelty on validation knowns: novelty =
    sigmoid((raw - threshold) / scale), so that values of different files, configurations and
    bundles are comparable. A score is not a probability.

    With `sigmoid` a window carries every label whose score reaches its own of `label_thresholds`
    (K,), or 0.5 where there are none. With the others it carries the best one.
    """

    activation: Activation
    rule: Rule
    threshold: float
    scale: float
    label_thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.activation not in get_args(Activation):
            raise SpecError(
                f"head activation {shown(self.activation)} is none of "
                f"{', '.join(get_args(Activation))}"
            )
        if not (np.isfinite(self.threshold) and np.isfinite(self.scale) and self.scale > 0):
            raise SpecError(
                f"head threshold {self.threshold} and scale {self.scale}: need finite numbers and "
                "a scale above 0"
            )
        if self.label_thresholds and self.activation != "sigmoid":
            raise SpecError(f"label thresholds have no meaning with {self.activation}")

    def __call__(self, embedding: Array, logits: Array) -> Verdicts:
        """Judge embeddings (B, D) and logits (B, K)."""
        raw = np.asarray(self.rule.novelty(embedding, logits), np.float64)
        novelty = _sigmoid((raw - self.threshold) / self.scale)
        return Verdicts(scores=self.scores(logits), novelty=novelty, accepted=raw <= self.threshold)

    def given(self, verdicts: Verdicts) -> NDArray[np.bool_]:
        """Return which labels (B, K) the windows carry: none where one is rejected."""
        scores = verdicts.scores
        if self.activation == "sigmoid":
            least = np.array(self.label_thresholds or SCORE_THRESHOLD, np.float32)
            given: NDArray[np.bool_] = scores >= least
        else:
            given = np.arange(scores.shape[1]) == scores.argmax(1)[:, np.newaxis]
        return given & verdicts.accepted[:, np.newaxis]

    def scores(self, logits: Array) -> Array:
        """Return scores (B, K) in 0..1 for logits (B, K)."""
        if self.activation == "sigmoid":
            return _sigmoid(logits)
        top = logits.max(1, keepdims=True)
        if self.activation == "softmax_other":
            top = np.maximum(top, 0)
        powers = np.exp(logits - top)
        other = np.exp(-top) if self.activation == "softmax_other" else 0
        result: Array = (powers / (powers.sum(1, keepdims=True) + other)).astype(np.float32)
        return result


def _sigmoid(x: NDArray[Any]) -> Array:
    result: Array = (0.5 * (1 + np.tanh(0.5 * np.asarray(x, np.float64)))).astype(np.float32)
    return result
