"""The kinds of the section `objective` of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CrossEntropySpec",
    "DistilSpec",
    "FocalSpec",
    "KMeansSpec",
    "ObjectiveSpec",
    "SemihardSpec",
    "TripletSpec",
]


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
    per_class: int = 5
    triplets_per_step: int = 50
    margin: float = 0.2
    margin_step: float = 0.05
    margin_maximum: float = 0.6
    scarce: int = 15
    patience: int = 3
    margin_rule: Literal["separate_runs", "algorithm"] = "separate_runs"
    mining_distance: Literal["squared_euclidean", "euclidean"] = "squared_euclidean"
    converged_loss: float = 0.01


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
    batch: int = 128
    per_class: int = 4
    margin: float = 1.0
    negatives: Literal["within_margin", "nearest"] = "within_margin"

    def __post_init__(self) -> None:
        if self.per_class < 2 or self.batch < 2 * self.per_class:
            raise ValueError(
                f"batch {self.batch} and per_class {self.per_class}: need two windows each of two "
                "species at least"
            )


@dataclass(frozen=True, kw_only=True)
class KMeansSpec:
    """Spherical k-means on whitened frames: no labels, no gradients (Stowell and Plumbley 2014)."""

    kind: Literal["spherical_kmeans"] = "spherical_kmeans"
    batch: int = 32
    whitening_windows: int = 200


@dataclass(frozen=True, kw_only=True)
class CrossEntropySpec:
    """Cross-entropy of the species.

    `outlier_share` > 0 adds an implicit 'other', `triplet_weight` > 0 adds batch-hard triplets.
    `auxiliary_weight` is that of the further logits which some networks give in training (Szegedy
    et al. 2015).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    batch: int = 48
    outlier_share: float = 0.0
    triplet_weight: float = 0.0
    triplet_margin: float = 0.3
    # Exponential moving average of the weights: the decay per step, 0 for none.
    average: float = 0.0
    auxiliary_weight: float = 0.4


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
    batch: int = 32
    gamma: float = 2.0
    outlier_share: float = 0.0
    minimum_weight: float = 0.3
    secondary: float = 0.0
    frame_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("secondary", "frame_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is outside 0..1")


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
    batch: int = 256
    outlier_share: float = 0.35
    mixup_share: float = 0.5  # probability of another animal in the window
    mixup_db: tuple[float, float] = (0.0, 12.0)  # how much fainter it is
    level_dbfs: tuple[float, float] = (-55.0, -12.0)  # of the whole, its root mean square
    embedding_weight: float = 2.0
    scores_weight: float = 0.1
    frames_weight: float = 0.3
    average: float = 0.999
    licence: str = ""  # of what has learnt from this teacher

    def __post_init__(self) -> None:
        if self.batch < 2 or not 0 < self.outlier_share < 1:
            raise ValueError("need a batch of at least 2 and an outlier_share between 0 and 1")


ObjectiveSpec = TripletSpec | SemihardSpec | CrossEntropySpec | FocalSpec | KMeansSpec | DistilSpec
