"""Whether an animal stands out in a window: the question that comes before 'which is it?'.

A window that no label is given to is *unknown* only where an animal stands out in it; else there is
nothing. The answer is a score in 0..1, by a logistic rule on a few features of what the network
says of the window: calibrated on animals, known and unknown, against everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.layer import LARGEST_WEIGHT
from edge.bundle.mapping import from_mapping, keys_of, list_of
from edge.bundle.products import chosen, greatest
from edge.bundle.unit import at_length_1
from edge.errors import SpecError, shown

__all__ = ["FEATURES", "AnimalRule", "features_of"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
LOWEST, HIGHEST = -20.0, 15.0  # of logits: beyond it, all are as sure
MOST_DIMENSIONS = 20_000


def _best_animal(logits: Array, animals: Mask) -> Array:
    return greatest(logits, animals)


def _best_other(logits: Array, animals: Mask) -> Array:
    return greatest(logits, ~animals)


def _all_animals(logits: Array, animals: Mask) -> Array:
    among = chosen(logits, animals)
    top = among.max(1)
    total: Array = top + np.log(np.exp(among - top[:, None]).sum(1))
    return total


def _spread(logits: Array, animals: Mask) -> Array:
    among = chosen(logits, animals)
    spread: Array = among.max(1) - among.mean(1)
    return spread


# Features by name, each of logits (B, N) and of which of the labels (N,) are animals.
FEATURES: Mapping[str, Callable[[Array, Mask], Array]] = {
    "best_animal": _best_animal,
    "best_other": _best_other,
    "all_animals": _all_animals,
    "spread": _spread,
}


def features_of(logits: Array, animals: Mask) -> dict[str, Array]:
    """Return every feature (B,) that there is of logits (B, N) with `animals` (N,) among them.

    They are the best logit of an animal and that of anything else, the logarithm of the summed odds
    of all animals, and how far the best animal stands above their mean; within -20..15.
    """
    names = set(FEATURES) - ({"best_other"} if animals.all() else set())
    return {name: _feature(name, logits, animals) for name in FEATURES if name in names}


def _feature(name: str, logits: Array, animals: Mask) -> Array:
    value = FEATURES[name](logits.astype(np.float32, copy=False), animals)
    clipped: Array = np.clip(value, LOWEST, HIGHEST).astype(np.float32)
    return clipped


@dataclass(frozen=True, kw_only=True)
class AnimalRule:
    """Says how surely an animal stands out in a window, by embedding and logits of the network.

    score = sigmoid(sum of weight * feature + embedding . e + bias), where e is the network's
    embedding at length 1. `weights` are by the names of `FEATURES`, `embedding` (D,) may be empty.
    From a score of `threshold` on an animal stands out.
    """

    weights: dict[str, float]
    bias: float
    threshold: float
    embedding: tuple[float, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        strange = sorted(set(self.weights) - set(FEATURES))
        if strange:
            raise SpecError(
                f"weights: {shown(strange[0])} is none of the features {', '.join(FEATURES)}"
            )
        if not self.weights and not self.embedding:
            raise SpecError("weights: there are none")
        for value in (*self.weights.values(), *self.embedding, self.bias):
            if not abs(value) <= LARGEST_WEIGHT:  # so that NaN is refused, too
                raise SpecError(f"{value} is not a finite number up to {LARGEST_WEIGHT:g}")
        if not 0 < self.threshold < 1:
            raise SpecError(f"threshold: {self.threshold} is not above 0 and below 1")

    def score(self, embedding: Array, logits: Array, animals: Mask) -> Array:
        """Return the score (B,) of embeddings (B, D) and logits (B, N) of labels of which some are
        `animals` (N,).
        """
        total = np.full(len(logits), self.bias, np.float64)
        for name, weight in self.weights.items():
            total += weight * _feature(name, logits, animals)
        if self.embedding:
            total += at_length_1(embedding).astype(np.float64) @ self._direction
        score: Array = (0.5 * (1 + np.tanh(0.5 * total))).astype(np.float32)
        return score

    @cached_property
    def _direction(self) -> NDArray[np.float64]:
        return np.array(self.embedding)

    def check(self, *, animals: Mask, dimensions: int) -> None:
        """Raise `SpecError` where it cannot judge a network with these labels (N,) and D
        `dimensions`.
        """
        if self.embedding and len(self.embedding) != dimensions:
            raise SpecError(
                f"animal: embedding: has {len(self.embedding)} weights, and the network's has "
                f"{dimensions} dimensions"
            )
        if self.weights and not animals.any():
            raise SpecError("animal: weights: have no meaning, no label is an animal's")
        if "best_other" in self.weights and animals.all():
            raise SpecError("animal: weights: best_other has no meaning, all labels are animals'")

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `parse` is the inverse."""
        plain: dict[str, Any] = {
            "weights": dict(self.weights),
            "bias": self.bias,
            "threshold": self.threshold,
        }
        return plain | ({"embedding": list(self.embedding)} if self.embedding else {})

    @staticmethod
    def parse(mapping: object, *, where: str) -> AnimalRule:
        """Build from JSON types; raises `SpecError`, which names the key."""
        values = dict(keys_of(mapping, where=where))
        keys_of(values.get("weights", {}), where=f"{where}: weights")
        embedding = list_of(
            values.get("embedding", ()), where=f"{where}: embedding", most=MOST_DIMENSIONS
        )
        rule: AnimalRule = from_mapping(
            AnimalRule, {**values, "embedding": tuple(embedding)}, where=where
        )
        return rule
