"""From embedding and logits to a verdict: a score per label, and how much the window looks like
nothing known.

A *rule* turns (embedding, logits) into a raw novelty; the head squashes it so that 0.5 is the
rejection threshold in every bundle. Pure numpy: the same code calibrates in `train` and decides on
the device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge.errors import SpecError

__all__ = [
    "RULES",
    "Activation",
    "Blend",
    "Energy",
    "GaussianDensity",
    "GaussianTail",
    "Head",
    "JointEnergy",
    "KnnDistance",
    "MaxLogit",
    "Rule",
    "Verdicts",
]

Array = NDArray[np.float32]
Activation = Literal["softmax", "softmax_other", "sigmoid"]


class Rule(Protocol):
    """A novelty: larger means less like the training species. Stateless and thread-safe; its fields
    are what the bundle stores.
    """

    kind: ClassVar[str]

    def novelty(self, embedding: Array, logits: Array) -> Array:
        """Raw novelty (B,) of embeddings (B, D), L2-normalised, and logits (B, K)."""
        ...


def distances(embedding: Array, points: Array) -> Array:
    """Euclidean distances (B, N) of rows (B, D) to points (N, D)."""
    squared = (
        np.square(embedding).sum(1)[:, None] + np.square(points).sum(1) - 2 * embedding @ points.T
    )
    result: Array = np.sqrt(np.maximum(squared, 0))
    return result


@dataclass(frozen=True, kw_only=True)
class _ClassGaussian:
    """Per class: mean of the training embeddings (K, D), and mean and deviation (K,) of validation
    distances from it.
    """

    means: Array
    mu: Array
    sigma: Array

    def deviation(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """(distance - mu) / sigma and sigma, both (B,), under the class with the largest logit."""
        predicted = logits.argmax(1)
        distance = np.linalg.norm(embedding - self.means[predicted], axis=1)
        return (distance - self.mu[predicted]) / self.sigma[predicted], self.sigma[predicted]


@dataclass(frozen=True, kw_only=True)
class GaussianDensity(_ClassGaussian):
    """The paper's rule: minus the log density of the distance under the predicted class's Gaussian
    (Thakur et al. 2019).
    """

    kind: ClassVar[str] = "gaussian_density"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        z, sigma = self.deviation(embedding, logits)
        result: Array = 0.5 * np.square(z) + np.log(sigma * np.sqrt(2 * np.pi))
        return result


@dataclass(frozen=True, kw_only=True)
class GaussianTail(_ClassGaussian):
    """One-sided: only distances *larger* than the class's own count as novel (the density also
    rejects the very typical).
    """

    kind: ClassVar[str] = "gaussian_tail"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        return self.deviation(embedding, logits)[0]


@dataclass(frozen=True, kw_only=True)
class KnnDistance:
    """Distance to the k-th nearest training embedding (Sun et al. 2022, detection with deep nearest
    neighbors).
    """

    kind: ClassVar[str] = "knn"
    points: Array
    k: int = 5

    def novelty(self, embedding: Array, logits: Array) -> Array:
        k = min(self.k, len(self.points))
        nearest: Array = np.partition(distances(embedding, self.points), k - 1, axis=1)[:, k - 1]
        return nearest


@dataclass(frozen=True, kw_only=True)
class MaxLogit:
    """Minus the largest logit (Hendrycks et al. 2022, Scaling out-of-distribution detection)."""

    kind: ClassVar[str] = "max_logit"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        result: Array = -logits.max(1)
        return result


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Free energy, minus log-sum-exp of the logits (Liu et al. 2020, Energy-based
    out-of-distribution detection).
    """

    kind: ClassVar[str] = "energy"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        top = logits.max(1, keepdims=True)
        result: Array = -(top[:, 0] + np.log(np.exp(logits - top).sum(1)))
        return result


@dataclass(frozen=True, kw_only=True)
class JointEnergy:
    """Minus the sum of the labels' own free energies (Wang et al. 2021, Can multi-label
    classification networks know ...?).
    """

    kind: ClassVar[str] = "joint_energy"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        result: Array = -np.logaddexp(0, logits).sum(1)
        return result


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A weighted sum of other rules' novelties, weights from logistic regression on validation
    knowns against unknowns.
    """

    kind: ClassVar[str] = "blend"
    weights: Array
    rules: tuple[Rule, ...]

    def novelty(self, embedding: Array, logits: Array) -> Array:
        parts = np.stack([rule.novelty(embedding, logits) for rule in self.rules], axis=1)
        result: Array = parts @ self.weights
        return result


RULES: dict[str, type[Any]] = {
    r.kind: r
    for r in (GaussianDensity, GaussianTail, KnnDistance, MaxLogit, Energy, JointEnergy, Blend)
}


def rule_arrays(rule: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Flatten a rule's fields into named arrays for `head.npz`; a blend's members are nested under
    their position.
    """
    arrays: dict[str, NDArray[Any]] = {f"{prefix}kind": np.array(rule.kind)}
    for field in dataclasses.fields(rule):
        value = getattr(rule, field.name)
        if field.name == "rules":
            for i, member in enumerate(value):
                arrays |= rule_arrays(member, f"{prefix}rules.{i}.")
        else:
            arrays[f"{prefix}{field.name}"] = np.asarray(value)
    return arrays


def rule_from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Rule:
    """The inverse of `rule_arrays`."""
    kind = str(arrays.get(f"{prefix}kind", ""))
    if kind not in RULES:
        raise SpecError(f"head rule '{kind}' is none of {', '.join(RULES)}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(RULES[kind]):
        if field.name == "rules":
            count = len(
                {k[len(prefix) :].split(".")[1] for k in arrays if k.startswith(f"{prefix}rules.")}
            )
            values["rules"] = tuple(
                rule_from_arrays(arrays, f"{prefix}rules.{i}.") for i in range(count)
            )
        elif f"{prefix}{field.name}" not in arrays:
            raise SpecError(f"head rule '{kind}': array '{prefix}{field.name}' is missing")
        else:
            value = arrays[f"{prefix}{field.name}"]
            values[field.name] = value if value.ndim else value.item()
    rule: Rule = RULES[kind](**values)
    return rule


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Of B windows: scores (B, K) in 0..1, novelty (B,) in 0..1 (above 0.5 is rejected), and
    whether each is accepted (B,).
    """

    scores: Array
    novelty: Array
    accepted: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The decision: `activation` turns logits into scores, `rule` measures novelty, `threshold`
    separates known from unknown.

    `softmax_other` is a softmax against an implicit further logit of 0, 'none of these': the scores
    need not add up to 1. `scale` is the spread of the raw novelty on validation knowns: novelty =
    sigmoid((raw - threshold) / scale), so values of different files, configurations and bundles can
    be laid side by side. A score is a score, not a probability.
    """

    activation: Activation
    rule: Rule
    threshold: float
    scale: float

    def __post_init__(self) -> None:
        if self.activation not in get_args(Activation):
            raise SpecError(
                f"head activation '{self.activation}' is none of {', '.join(get_args(Activation))}"
            )
        if not (np.isfinite(self.threshold) and np.isfinite(self.scale) and self.scale > 0):
            raise SpecError(
                f"head threshold {self.threshold} and scale {self.scale}: need finite numbers and "
                "a scale above 0"
            )

    def __call__(self, embedding: Array, logits: Array) -> Verdicts:
        """Judge embeddings (B, D) and logits (B, K)."""
        raw = np.asarray(self.rule.novelty(embedding, logits), np.float64)
        novelty = _sigmoid((raw - self.threshold) / self.scale)
        return Verdicts(scores=self.scores(logits), novelty=novelty, accepted=raw <= self.threshold)

    def scores(self, logits: Array) -> Array:
        """Scores (B, K) in 0..1 of logits (B, K)."""
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
