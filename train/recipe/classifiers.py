"""The kinds of the section `classifier` of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from train.recipe.ranges import Count, Range, Rate, ShareBelow1, Weight, check_ranges

__all__ = ["AnyClassifierSpec", "ClassifierSpec", "ElmSpec", "ForestSpec", "KnnSpec"]


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """The MLP on frozen embeddings (Thakur et al. 2019, section II.B.2)."""

    kind: Literal["mlp"] = "mlp"
    hidden: Count = 256
    dropout: ShareBelow1 = 0.0
    learning_rate: Rate = 1e-3
    weight_decay: Weight = 1e-4
    epochs: Count = 200

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class KnnSpec:
    """The `k` nearest training embeddings vote (Clementino and Colonna 2020).

    At most `points` embeddings are kept, evenly by species. The `votes` are all `equal`, or
    `fading` with distance, so that a window far from all training has next to none.
    """

    kind: Literal["knn"] = "knn"
    k: Count = 5
    points: Count = 4000
    votes: Literal["fading", "equal"] = "fading"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.points < self.k:
            raise ValueError(f"k {self.k} and points {self.points}: need k <= points")


@dataclass(frozen=True, kw_only=True)
class ForestSpec:
    """A random forest on frozen embeddings (Breiman 2001), species weighted equally."""

    kind: Literal["forest"] = "forest"
    trees: Count = 200
    smallest_leaf: Count = 2

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class ElmSpec:
    """An extreme learning machine on frozen embeddings (Huang et al. 2006).

    `hidden` units have weights at random, and what is read from them is a ridge regression, of
    penalty `ridge`, with species weighted equally.
    """

    kind: Literal["elm"] = "elm"
    hidden: Count = 1000
    ridge: Annotated[float, Range(0, 1e9, open_low=True)] = 1.0

    def __post_init__(self) -> None:
        check_ranges(self)


AnyClassifierSpec = ClassifierSpec | KnnSpec | ForestSpec | ElmSpec
