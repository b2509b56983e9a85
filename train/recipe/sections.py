"""The sections of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "CHOICES",
    "KINDS",
    "LONGEST_S",
    "OPTIMISERS",
    "AugmentSpec",
    "ClassifierSpec",
    "CropSpec",
    "CrossEntropySpec",
    "FocalSpec",
    "ForestSpec",
    "KMeansSpec",
    "KnnSpec",
    "NetworkSpec",
    "ObjectiveSpec",
    "PseudoSpec",
    "SemihardSpec",
    "SplitSpec",
    "StageSpec",
    "TripletSpec",
]


# a longer recording is trained on by its beginning: one recordist's hour must not fill the memory
LONGEST_S = 90.0


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Which network, its constructor's options, and whether it starts from published weights where
    there are any for it.
    """

    kind: str
    pretrained: bool = True
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AugmentSpec:
    """Augmentation in the power domain and, from `crop_top` on, of finished features; the defaults
    are none (S1 uses none).

    Each is an independent draw per window.
    """

    noise_share: float = 0.0  # probability of mixing in noise, background or a quiet window
    noise_snr_db: tuple[float, float] = (0.0, 25.0)
    gain_db: float = 0.0  # uniform within +- this, after the peak band is brought to full scale
    # smooth random frequency response within +- this: another microphone, another distance
    equaliser_db: float = 0.0
    stretch: float = 0.0  # time dilation within 1 +- this, about the middle of the window
    shift_bands: int = 0  # shift along the mel axis within +- this
    time_shift_share: float = 0.0  # probability of a circular shift in time
    masks: int = 0  # SpecAugment: this many masks per axis (Park et al. 2019)
    # probability of adding a window of another species, with a shared label (Zhang et al. 2018)
    mixup_share: float = 0.0
    # the share is drawn from Beta(alpha, alpha), in S5 with 4 to 5: much alike (0: uniform in
    # 0.2..0.8)
    mixup_alpha: float = 0.0
    # probability of adding white or pink noise (`train.windows.noise`, S5)
    coloured_share: float = 0.0
    coloured_snr_db: tuple[float, float] = (0.0, 25.0)  # below the window's loudest band
    # probability of adding another animal, one of those that are none of the species (S5, step 3)
    animals_share: float = 0.0
    animals_snr_db: tuple[float, float] = (0.0, 25.0)
    # cut off up to this share of the height at the top (`train.windows.images`, S4, as all that
    # follow) ...
    crop_top: float = 0.0
    crop_bottom: float = 0.0  # ... and at the bottom, and resize the rest
    brightness: float = 0.0  # add within +- this
    contrast: float = 0.0  # times 1 +- this about each channel's mean
    saturation: float = 0.0  # times 1 +- this about the mean of the channels
    hue: float = 0.0  # turn the three channels into each other by +- this of a circle
    # noise with a deviation up to this, or a slow change of brightness within +- this
    grain: float = 0.0

    def __post_init__(self) -> None:
        most = {"hue": 0.5, "crop_top": 0.5, "crop_bottom": 0.4}  # of shares that may not reach 1
        shares = [name for name in vars(self) if name.endswith("_share")]
        for name in (
            *shares,
            "crop_top",
            "crop_bottom",
            "brightness",
            "contrast",
            "saturation",
            "hue",
            "grain",
        ):
            if not 0 <= getattr(self, name) <= most.get(name, 1.0):
                raise ValueError(
                    f"{name}: {getattr(self, name)} is outside 0..{most.get(name, 1.0):g}"
                )
        if not 0 <= self.mixup_alpha <= 1000:
            raise ValueError(f"mixup_alpha: {self.mixup_alpha} is outside 0..1000")
        for name in ("noise_snr_db", "coloured_snr_db", "animals_snr_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(
                    f"{name}: {low} to {high} dB is no range, the lower number comes first"
                )


@dataclass(frozen=True, kw_only=True)
class TripletSpec:
    """Dynamic triplet loss (Thakur et al. 2019, Algorithm 1)."""

    kind: Literal["triplet"] = "triplet"
    per_class: int = 5
    triplets_per_step: int = 50
    margin: float = 0.2
    margin_step: float = 0.05
    margin_maximum: float = 0.6
    scarce: int = 15
    patience: int = 3
    converged_loss: float = 0.01


@dataclass(frozen=True, kw_only=True)
class SemihardSpec:
    """Semi-hard triplets of each batch with a fixed margin (Schroff et al. 2015; Clementino and
    Colonna 2020, equation 1).

    A batch is `per_class` windows of each of `batch` / `per_class` species drawn at random.
    """

    kind: Literal["semihard"] = "semihard"
    batch: int = 128
    per_class: int = 4
    margin: float = 1.0

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
    """Cross-entropy; `outlier_share` > 0 adds an implicit 'other', `triplet_weight` > 0 batch-hard
    triplets.

    `auxiliary_weight` is that of the further logits which some networks give in training (Szegedy
    et al. 2015).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    batch: int = 48
    outlier_share: float = 0.0
    triplet_weight: float = 0.0
    triplet_margin: float = 0.3
    # exponential moving average of the weights: the decay per step, 0 for none
    average: float = 0.0
    auxiliary_weight: float = 0.4


@dataclass(frozen=True, kw_only=True)
class FocalSpec:
    """Binary focal loss of each species (Lin et al. 2017): labels of a mixture are those of all its
    parts; outliers have none.

    `minimum_weight` is that of a network's soft minimum over time, which should be low for every
    species (system S5). `secondary` is the target of the species that a recording names beside its
    own, 0.995 in S5; 0: they are ignored. `frame_weight` is the share of the loss of single time
    steps against pseudo labels in the whole.
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
class CropSpec:
    """Smart crop: who uploads a recording cuts off its ends where nothing calls (BirdCLEF 2021,
    section 2.2).

    With probability `ends_share` a window starts at the recording's beginning or ends at its end,
    moved inwards by `shift_s`. Recordings longer than `longest_s` are left out, but for a species
    that has no shorter one. Reading taken of "otherwise random": as without this section, among the
    windows in which something is heard (`train.windows.activity`); what the paper wants of smart
    crops, a window with the call in it, that does for any place in a recording.
    """

    ends_share: float = 0.2
    shift_s: tuple[float, ...] = (0.0, 2.0)
    longest_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.ends_share <= 1:
            raise ValueError(f"ends_share: {self.ends_share} is outside 0..1")
        if len(self.shift_s) != 2 or not 0 <= self.shift_s[0] <= self.shift_s[1]:
            raise ValueError(f"shift_s: {list(self.shift_s)} is no range of seconds, as in [0, 2]")
        if not 0 < self.longest_s <= LONGEST_S:
            raise ValueError(
                f"longest_s: {self.longest_s} is outside 0..{LONGEST_S:g}: of a longer recording "
                "the end is not read"
            )


@dataclass(frozen=True, kw_only=True)
class PseudoSpec:
    """Labels in time, made by an earlier run of the segmentation network (BirdCLEF 2021, section
    2.4; `train.windows.pseudo`).

    A step is `present` from this score on, and absent up to `absent`; in between it is unsure and
    has no part in the loss. The paper states neither number.
    """

    present: float = 0.5
    absent: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.absent < self.present < 1:
            raise ValueError(
                f"absent {self.absent} and present {self.present}: need 0 < absent < present < 1"
            )


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """The MLP on frozen embeddings (section II.B.2); absent when the network has its own logits."""

    kind: Literal["mlp"] = "mlp"
    hidden: int = 256
    dropout: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    epochs: int = 200


@dataclass(frozen=True, kw_only=True)
class KnnSpec:
    """The `k` nearest training embeddings vote (Clementino and Colonna 2020); at most `points` are
    kept, evenly by species.
    """

    kind: Literal["knn"] = "knn"
    k: int = 5
    points: int = 4000

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
class StageSpec:
    """A part of training that moves only some layers: `layers` is what the network calls them, e.g.
    top, last or all.
    """

    layers: str
    steps: int
    batch: int = 0  # 0: the objective's
    learning_rate: float = 0.0  # 0: the recipe's

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")


ObjectiveSpec = TripletSpec | SemihardSpec | CrossEntropySpec | FocalSpec | KMeansSpec
# sections that come in kinds
KINDS: dict[str, tuple[type[Any], ...]] = {
    "objective": (TripletSpec, SemihardSpec, CrossEntropySpec, FocalSpec, KMeansSpec),
    "classifier": (ClassifierSpec, KnnSpec, ForestSpec),
}
OPTIMISERS = ("adagrad", "adam", "adamw", "rmsprop", "sgd")
CHOICES = {"optimiser": OPTIMISERS, "schedule": ("constant", "cosine")}


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How `build` divides the recordings: share of the test, folds of the rest (fold 0 validates),
    seed.
    """

    test_share: float = 0.2
    folds: int = 5
    seed: int = 0
