"""The kinds of the section `classifier` of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["AnyClassifierSpec", "ClassifierSpec", "ElmSpec", "ForestSpec", "KnnSpec"]


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """The MLP on frozen embeddings (Thakur et al. 2019, section II.B.2)."""

    kind: Literal["mlp"] = "mlp"
    hidden: int = 256
    dropout: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    epochs: int = 200


@dataclass(frozen=True, kw_only=True)
class KnnSpec:
    """The `k` nearest training embeddings vote (Clementino and Colonna 2020).

    At most `points` embeddings are kept, evenly by species. The `votes` are all `equal`, or
    `fading` with distance, so that a window far from all training has next to none.
    """

    kind: Literal["knn"] = "knn"
    k: int = 5
    points: int = 4000
    votes: Literal["fading", "equal"] = "fading"

    def __post_init__(self) -> None:
        if self.k < 1 or self.points < self.k:
            raise ValueError(f"k {self.k} and points {self.points}: need 1 <= k <= points")


@dataclass(frozen=True, kw_only=True)
class ForestSpec:
    """A random forest on frozen embeddings (Breiman 2001), species weighted equally."""

    kind: Literal["forest"] = "forest"
    trees: int = 200
    smallest_leaf: int = 2

    def __post_init__(self) -> None:
        if self.trees < 1 or self.smallest_leaf < 1:
            raise ValueError("trees and smallest_leaf must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ElmSpec:
    """An extreme learning machine on frozen embeddings (Huang et al. 2006).

    `hidden` units have weights at random, and what is read from them is a ridge regression, of
    penalty `ridge`, with species weighted equally.
    """

    kind: Literal["elm"] = "elm"
    hidden: int = 1000
    ridge: float = 1.0

    def __post_init__(self) -> None:
        if self.hidden < 1 or not self.ridge > 0:
            raise ValueError(f"hidden {self.hidden} and ridge {self.ridge}: must be above 0")


AnyClassifierSpec = ClassifierSpec | KnnSpec | ForestSpec | ElmSpec
