"""The kinds of the section `objective` of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from train.recipe.ranges import (
    Count,
    Decibels,
    Factor,
    Range,
    Share,
    ShareBelow1,
    Weight,
    Whole,
    check_order,
    check_ranges,
)

__all__ = [
    "CrossEntropySpec",
    "DistilSpec",
    "FocalSpec",
    "KMeansSpec",
    "ObjectiveSpec",
    "SemihardSpec",
    "TripletSpec",
]


PerClass = Annotated[int, Range(2, 1_000_000)]  # a triplet has two of a species


@dataclass(frozen=True, kw_only=True)
class TripletSpec:
    """Dynamic triplet loss (Thakur et al. 2019, Algorithm 1).

    `margin_rule` says what happens after `patience` poor mini-batches in a row. `algorithm` is
    lines 12 to 17 of Algorithm 1: the margin grows after each further poor one, and the loss of
    that mini-batch has it already. `separate_runs` reads section II.C ("again, the network is
    trained"): the count starts anew, and the margin holds from the next mini-batch.
    `mining_distance` is d() in the definition of a semi-hard triplet: section II.C has the
    Euclidean distance, equation 1 its square.
    """

    kind: Literal["triplet"] = "triplet"
    per_class: PerClass = 5
    triplets_per_step: Count = 50
    margin: Factor = 0.2
    margin_step: Factor = 0.05
    margin_maximum: Factor = 0.6
    scarce: Whole = 15
    patience: Count = 3
    margin_rule: Literal["separate_runs", "algorithm"] = "separate_runs"
    mining_distance: Literal["squared_euclidean", "euclidean"] = "squared_euclidean"
    converged_loss: Weight = 0.01

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.margin > self.margin_maximum:
            raise ValueError(f"margin: {self.margin} is above margin_maximum {self.margin_maximum}")


@dataclass(frozen=True, kw_only=True)
class SemihardSpec:
    """Semi-hard triplets of each batch with a fixed margin.

    Schroff et al. 2015; Clementino and Colonna 2020, equation 1. A batch is `per_class` windows of
    each of `batch` / `per_class` species drawn at random.

    `negatives` says which triplets there are. `within_margin`: every one whose negative is farther
    than its positive by less than the margin, which suits embeddings of unit length. `nearest`: one
    for each pair, with the nearest negative that is farther than the positive, else the farthest of
    all, as the semi-hard loss of TensorFlow has it: any scale of the embedding has triplets.
    """

    kind: Literal["semihard"] = "semihard"
    batch: Count = 128
    per_class: PerClass = 4
    margin: Factor = 1.0
    negatives: Literal["within_margin", "nearest"] = "within_margin"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.batch < 2 * self.per_class:
            raise ValueError(
                f"batch {self.batch} and per_class {self.per_class}: need two windows each of two "
                "species at least"
            )


@dataclass(frozen=True, kw_only=True)
class KMeansSpec:
    """Spherical k-means on whitened frames: no labels, no gradients (Stowell and Plumbley 2014)."""

    kind: Literal["spherical_kmeans"] = "spherical_kmeans"
    batch: Count = 32
    whitening_windows: Count = 200

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class CrossEntropySpec:
    """Cross-entropy of the species.

    `outlier_share` > 0 adds an implicit 'other', `triplet_weight` > 0 adds batch-hard triplets.
    `auxiliary_weight` is that of the further logits which some networks give in training (Szegedy
    et al. 2015).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    batch: Count = 48
    outlier_share: ShareBelow1 = 0.0
    triplet_weight: Weight = 0.0
    triplet_margin: Factor = 0.3
    # Exponential moving average of the weights: the decay per step, 0 for none.
    average: ShareBelow1 = 0.0
    auxiliary_weight: Weight = 0.4

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class FocalSpec:
    """Binary focal loss of each species (Lin et al. 2017).

    A mixture has the labels of all its parts; an outlier has none. `minimum_weight` is that of a
    network's soft minimum over time, which should be low for every species (system S5). `secondary`
    is the target of the species that a recording names beside its own: 0.995 in S5, and at 0 they
    are ignored. `frame_weight` is the share that the loss of single time steps against pseudo
    labels has in the whole.
    """

    kind: Literal["focal"] = "focal"
    batch: Count = 32
    gamma: Annotated[float, Range(0, 100)] = 2.0
    outlier_share: ShareBelow1 = 0.0
    minimum_weight: Weight = 0.3
    secondary: Share = 0.0
    frame_weight: Share = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class DistilSpec:
    """Cross-entropy of the species beside what a teacher says of the same mixed sound.

    A patient teacher (Beyer et al. 2022, Knowledge distillation: a good teacher is patient and
    consistent) hears every mixture itself: `embedding_weight` times one minus the cosine to its
    embedding, and `scores_weight` times the cross-entropy to the scores of all that it knows.
    `frames_weight` is that of the species in frames, whose soft maximum is that of the window.
    `teacher` is a bundle, by name or folder, whose makers may ask for a `licence` of its pupils.
    """

    kind: Literal["distil"] = "distil"
    teacher: str = "birdnet"
    batch: Annotated[int, Range(2, 1_000_000)] = 256
    outlier_share: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.35
    mixup_share: Share = 0.5  # probability of another animal in the window
    mixup_db: tuple[Decibels, Decibels] = (0.0, 12.0)  # how much fainter it is
    level_dbfs: tuple[Decibels, Decibels] = (-55.0, -12.0)  # of the whole, its root mean square
    embedding_weight: Weight = 2.0
    scores_weight: Weight = 0.1
    frames_weight: Weight = 0.3
    average: ShareBelow1 = 0.999
    licence: str = ""  # of what has learnt from this teacher

    def __post_init__(self) -> None:
        check_ranges(self)
        check_order(self, "mixup_db", "level_dbfs")


ObjectiveSpec = TripletSpec | SemihardSpec | CrossEntropySpec | FocalSpec | KMeansSpec | DistilSpec
