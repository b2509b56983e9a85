"""Rules of rejection: how much a window looks like nothing that the model knows.

A *rule* turns embedding and logits into a raw novelty, which `heads.Head` compares to a threshold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle.points import Points
from edge.errors import SpecError, shown

__all__ = [
    "RULES",
    "Blend",
    "Column",
    "Energy",
    "GaussianDensity",
    "GaussianTail",
    "JointEnergy",
    "KnnDistance",
    "MaxLogit",
    "Rule",
    "rule_arrays",
    "rule_from_arrays",
]

Array = NDArray[np.float32]


class Rule(Protocol):
    """A measure of novelty: larger means less like the training species.

    Stateless and thread-safe; its fields are what the bundle stores. `shapes` says of what shape
    each is: K labels, D dimensions of the embedding, N points, R rules, () for a number.
    """

    kind: ClassVar[str]
    shapes: ClassVar[Mapping[str, tuple[str, ...]]]

    def novelty(self, embedding: Array, logits: Array) -> Array:
        """Return the raw novelty (B,) of embeddings (B, D), L2-normalised, and logits (B, K)."""
        ...


@dataclass(frozen=True, kw_only=True)
class _ClassGaussian:
    """A Gaussian of the distance from each class's mean.

    `means` (K, D) are those of the training embeddings; `mu` and `sigma` (K,) are mean and
    deviation of the validation distances from them.
    """

    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "means": ("K", "D"),
        "mu": ("K",),
        "sigma": ("K",),
    }
    means: Array
    mu: Array
    sigma: Array

    def deviation(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """Return (distance - mu) / sigma, and sigma, both (B,), of the class of largest logit."""
        predicted = logits.argmax(1)
        distance = np.linalg.norm(embedding - self.means[predicted], axis=1)
        return (distance - self.mu[predicted]) / self.sigma[predicted], self.sigma[predicted]


@dataclass(frozen=True, kw_only=True)
class GaussianDensity(_ClassGaussian):
    """Minus the log density of the distance under the predicted class's Gaussian.

    This is the rule of Thakur et al. 2019.
    """

    kind: ClassVar[str] = "gaussian_density"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        z, sigma = self.deviation(embedding, logits)
        result: Array = 0.5 * np.square(z) + np.log(sigma * np.sqrt(2 * np.pi))
        return result


@dataclass(frozen=True, kw_only=True)
class GaussianTail(_ClassGaussian):
    """The one-sided Gaussian: only distances *larger* than the class's own count as novel.

    The density also rejects the very typical.
    """

    kind: ClassVar[str] = "gaussian_tail"

    def novelty(self, embedding: Array, logits: Array) -> Array:
        return self.deviation(embedding, logits)[0]


@dataclass(frozen=True, kw_only=True)
class KnnDistance:
    """Distance to the k-th nearest of the training embeddings `points` (N, D).

    Source: Sun et al. 2022, Out-of-distribution detection with deep nearest neighbors.
    """

    kind: ClassVar[str] = "knn"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"points": ("N", "D"), "k": ()}
    points: Array
    k: int = 5

    def novelty(self, embedding: Array, logits: Array) -> Array:
        k = min(self.k, len(self.points))
        found = self._prepared.distances(embedding)
        nearest: Array = np.partition(found, k - 1, axis=1)[:, k - 1]
        return nearest

    @cached_property
    def _prepared(self) -> Points:
        return Points(self.points)


@dataclass(frozen=True, kw_only=True)
class MaxLogit:
    """Minus the largest logit (Hendrycks et al. 2022, Scaling out-of-distribution detection)."""

    kind: ClassVar[str] = "max_logit"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def novelty(self, embedding: Array, logits: Array) -> Array:
        result: Array = -logits.max(1)
        return result


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Free energy, which is minus the log-sum-exp of the logits.

    Source: Liu et al. 2020, Energy-based out-of-distribution detection.
    """

    kind: ClassVar[str] = "energy"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def novelty(self, embedding: Array, logits: Array) -> Array:
        top = logits.max(1, keepdims=True)
        result: Array = -(top[:, 0] + np.log(np.exp(logits - top).sum(1)))
        return result


@dataclass(frozen=True, kw_only=True)
class JointEnergy:
    """Minus the sum of the labels' own free energies.

    Source: Wang et al. 2021, Can multi-label classification networks know what they don't know?
    """

    kind: ClassVar[str] = "joint_energy"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def novelty(self, embedding: Array, logits: Array) -> Array:
        result: Array = -np.logaddexp(0, logits).sum(1)
        return result


@dataclass(frozen=True, kw_only=True)
class Column:
    """One of the values behind the embedding, at `index`: what a head's trunk says (`Top`)."""

    kind: ClassVar[str] = "column"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"index": ()}
    index: int

    def novelty(self, embedding: Array, logits: Array) -> Array:
        result: Array = embedding[:, self.index]
        return result


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A weighted sum of other rules' novelties.

    The weights come from logistic regression on validation knowns against unknowns.
    """

    kind: ClassVar[str] = "blend"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"weights": ("R",)}
    weights: Array
    rules: tuple[Rule, ...]

    def novelty(self, embedding: Array, logits: Array) -> Array:
        # Added up one after the other: a product of matrices sums one window differently from many.
        total = np.zeros(len(logits), np.float32)
        for weight, rule in zip(self.weights, self.rules, strict=True):
            total += weight * rule.novelty(embedding, logits)
        return total


_ALL = (GaussianDensity, GaussianTail, KnnDistance, MaxLogit, Energy, JointEnergy, Column, Blend)
RULES: dict[str, type[Any]] = {rule.kind: rule for rule in _ALL}


def rule_arrays(rule: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Flatten a rule's fields into named arrays for `head.npz`.

    The members of a blend are nested under their position.
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
    """Build the rule that `rule_arrays` flattened; raises `SpecError` for what is missing."""
    kind = str(arrays.get(f"{prefix}kind", ""))
    if kind not in RULES:
        raise SpecError(f"head rule {shown(kind)} is none of {', '.join(RULES)}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(RULES[kind]):
        if field.name == "rules":
            values["rules"] = _members(arrays, f"{prefix}rules.")
        elif f"{prefix}{field.name}" not in arrays:
            raise SpecError(f"head rule '{kind}': array '{prefix}{field.name}' is missing")
        else:
            value = arrays[f"{prefix}{field.name}"]
            values[field.name] = value if value.ndim else value.item()
    rule: Rule = RULES[kind](**values)
    return rule


def _members(arrays: Mapping[str, NDArray[Any]], prefix: str) -> tuple[Rule, ...]:
    positions = {name[len(prefix) :].split(".")[0] for name in arrays if name.startswith(prefix)}
    members = []
    for i in range(len(positions)):
        if str(arrays.get(f"{prefix}{i}.kind", "")) == Blend.kind:
            raise SpecError("head rule 'blend': one of its rules is a blend itself")
        members.append(rule_from_arrays(arrays, f"{prefix}{i}."))
    return tuple(members)
