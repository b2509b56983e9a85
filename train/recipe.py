"""A recipe: everything that decides a training run, read from one YAML file and checked completely before anything runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from edge.bundle.spec import WHOLE, FrontendSpec, from_mapping
from edge.errors import ConfigError, SpecError

__all__ = [
    "OPTIMISERS",
    "AugmentSpec",
    "ClassifierSpec",
    "CrossEntropySpec",
    "FocalSpec",
    "ForestSpec",
    "KMeansSpec",
    "KnnSpec",
    "NetworkSpec",
    "Recipe",
    "SemihardSpec",
    "SplitSpec",
    "StageSpec",
    "TripletSpec",
    "load_recipe",
]


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Which network, its constructor's options, and whether it starts from published weights where there are any for it."""

    kind: str
    pretrained: bool = True
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AugmentSpec:
    """Augmentation in the power domain, each an independent draw per window; the defaults are none (the paper uses none)."""

    noise_share: float = 0.0  # probability of mixing in noise, background or a quiet window
    noise_snr_db: tuple[float, float] = (0.0, 25.0)
    gain_db: float = 0.0  # uniform within +- this, after the peak band is brought to full scale
    equaliser_db: float = 0.0  # smooth random frequency response within +- this: another microphone, another distance
    stretch: float = 0.0  # time dilation within 1 +- this, about the middle of the window
    shift_bands: int = 0  # shift along the mel axis within +- this
    time_shift_share: float = 0.0  # probability of a circular shift in time
    masks: int = 0  # SpecAugment: this many masks per axis (Park et al. 2019)
    mixup_share: float = 0.0  # probability of adding a window of another species, with a shared label (Zhang et al. 2018)


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
    """Semi-hard triplets of each batch with a fixed margin (Schroff et al. 2015; Clementino and Colonna 2020, equation 1).

    A batch is `per_class` windows of each of `batch` / `per_class` species drawn at random.
    """

    kind: Literal["semihard"] = "semihard"
    batch: int = 128
    per_class: int = 4
    margin: float = 1.0

    def __post_init__(self) -> None:
        if self.per_class < 2 or self.batch < 2 * self.per_class:
            raise ValueError(f"batch {self.batch} and per_class {self.per_class}: need two windows each of two species at least")


@dataclass(frozen=True, kw_only=True)
class KMeansSpec:
    """Spherical k-means on whitened frames: no labels, no gradients (Stowell and Plumbley 2014)."""

    kind: Literal["spherical_kmeans"] = "spherical_kmeans"
    batch: int = 32
    whitening_windows: int = 200


@dataclass(frozen=True, kw_only=True)
class CrossEntropySpec:
    """Cross-entropy; `outlier_share` > 0 adds an implicit 'other', `triplet_weight` > 0 batch-hard triplets.

    `auxiliary_weight` is that of the further logits which some networks give in training (Szegedy et al. 2015).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    batch: int = 48
    outlier_share: float = 0.0
    triplet_weight: float = 0.0
    triplet_margin: float = 0.3
    average: float = 0.0  # exponential moving average of the weights: the decay per step, 0 for none
    auxiliary_weight: float = 0.4


@dataclass(frozen=True, kw_only=True)
class FocalSpec:
    """Binary focal loss of each species (Lin et al. 2017): labels of a mixture are those of all its parts; outliers have none.

    `minimum_weight` is that of a network's soft minimum over time, which should be low for every species (system S5).
    """

    kind: Literal["focal"] = "focal"
    batch: int = 32
    gamma: float = 2.0
    outlier_share: float = 0.0
    minimum_weight: float = 0.3


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
    """The `k` nearest training embeddings vote (Clementino and Colonna 2020); at most `points` are kept, evenly by species."""

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
    """A part of training that moves only some layers: `layers` is what the network calls them, e.g. top, last or all."""

    layers: str
    steps: int
    batch: int = 0  # 0: the objective's
    learning_rate: float = 0.0  # 0: the recipe's

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")


ObjectiveSpec = TripletSpec | SemihardSpec | CrossEntropySpec | FocalSpec | KMeansSpec
# sections that come in kinds
_KINDS: dict[str, tuple[type[Any], ...]] = {
    "objective": (TripletSpec, SemihardSpec, CrossEntropySpec, FocalSpec, KMeansSpec),
    "classifier": (ClassifierSpec, KnnSpec, ForestSpec),
}
OPTIMISERS = ("adagrad", "adam", "adamw", "rmsprop", "sgd")
_CHOICES = {"optimiser": OPTIMISERS, "schedule": ("constant", "cosine")}


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How `build` divides the recordings: share of the test, folds of the rest (fold 0 validates), seed."""

    test_share: float = 0.2
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    `steps` are mini-batches, an epoch is `steps_per_epoch` of them, after which there is a checkpoint. `species` limits the labels
    to learn (all, when empty); known recordings of other labels become outliers. `withheld` species are
    learnt but answered with 'none of these' (`train.networks.withheld`). `acceptance` is the share of known validation
    windows that the rejection rule lets pass; `notes` go into the model card.
    """

    name: str
    frontend: FrontendSpec
    network: NetworkSpec
    objective: ObjectiveSpec
    steps: int
    steps_per_epoch: int = 100
    optimiser: Literal["adagrad", "adam", "adamw", "rmsprop", "sgd"] = "adamw"
    schedule: Literal["constant", "cosine"] = "cosine"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    classifier: ClassifierSpec | KnnSpec | ForestSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    augment: AugmentSpec = AugmentSpec()
    seed: int = 0
    members: int = 1
    species: tuple[str, ...] = ()
    split: SplitSpec = SplitSpec()
    withheld: tuple[str, ...] = ()
    acceptance: float = 0.95
    notes: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps_per_epoch < 1 or self.members < 1:
            raise SpecError("steps, steps_per_epoch and members must be at least 1")
        if self.frontend.channels[0].component not in WHOLE:
            raise SpecError(f"frontend.channels[0] must be {' or '.join(WHOLE)}: activity and mixing levels are measured on it")
        if self.withheld and self.activation != "softmax_other":
            raise SpecError("withheld needs objective cross_entropy with an outlier_share above 0: there is no 'other' to answer")
        if not isinstance(self.objective, CrossEntropySpec | FocalSpec) and self.classifier is None:
            raise SpecError(f"objective {self.objective.kind} learns no classes: add a classifier section")
        if isinstance(self.objective, KMeansSpec) != (self.network.kind == "spherical_kmeans"):
            raise SpecError("network spherical_kmeans and objective spherical_kmeans need each other")
        if self.stages and sum(stage.steps for stage in self.stages) != self.steps:
            raise SpecError(f"stages: their steps add up to {sum(s.steps for s in self.stages)}, but steps is {self.steps}")

    def as_mapping(self) -> dict[str, Any]:
        """Plain YAML types; `parse_recipe` reads it back."""
        plain: dict[str, Any] = json.loads(json.dumps({**dataclasses.asdict(self), "frontend": self.frontend.as_mapping()}))
        return plain

    @property
    def activation(self) -> Literal["softmax", "softmax_other", "sigmoid"]:
        """How the head reads the logits: against 'other' when outliers were shown in training; each alone after focal loss."""
        if isinstance(self.objective, FocalSpec):
            return "sigmoid"
        shown = isinstance(self.objective, CrossEntropySpec) and self.objective.outlier_share > 0
        return "softmax_other" if shown else "softmax"

    @property
    def digest(self) -> str:
        """sha256 of what training depends on: a checkpoint is resumed only by the recipe that wrote it."""
        decisive = {key: value for key, value in self.as_mapping().items() if key not in ("notes", "acceptance", "withheld")}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def load_recipe(path: Path, *, overrides: Mapping[str, Any] | None = None, from_scratch: bool = False) -> Recipe:
    """Read a recipe file; every mistake is one line that names the file and the key. `from_scratch`: no published weights."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such recipe") from exc
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(exc).split())})") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, see config/recipes/")
    recipe = parse_recipe({**values, **(overrides or {})}, where=str(path))
    if from_scratch:
        recipe = dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, pretrained=False))
    return recipe


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Build a recipe from plain YAML types."""
    parsed = dict(values)
    parsed["frontend"] = FrontendSpec.parse(parsed.get("frontend") or {}, where=f"{where}: frontend")
    for key, cls in (("network", NetworkSpec), ("augment", AugmentSpec), ("split", SplitSpec)):
        if parsed.get(key) is not None:
            parsed[key] = _section(cls, parsed[key], where=f"{where}: {key}")
    for key, classes in _KINDS.items():
        if parsed.get(key) is not None:
            parsed[key] = _section(_kind(parsed[key], classes, where=f"{where}: {key}"), parsed[key], where=f"{where}: {key}")
    stages = parsed.get("stages") or ()
    parsed["stages"] = tuple(_section(StageSpec, stage, where=f"{where}: stages[{i}]") for i, stage in enumerate(stages))
    for key in ("species", "withheld"):
        parsed[key] = tuple(parsed.get(key) or ())
    recipe: Recipe = from_mapping(Recipe, parsed, where=where)
    for key, allowed in _CHOICES.items():
        if getattr(recipe, key) not in allowed:
            raise SpecError(f"{where}: {key}: '{getattr(recipe, key)}' is none of {', '.join(allowed)}")
    return recipe


def _kind(values: Any, classes: tuple[type[Any], ...], *, where: str) -> type[Any]:
    """The class of a section by its key `kind`; a classifier without one is the MLP, an objective must name its own."""
    there = {cls.kind: cls for cls in classes}
    fallback = ClassifierSpec.kind if ClassifierSpec in classes else None
    kind = values.get("kind", fallback) if isinstance(values, dict) else fallback
    if kind not in there:
        raise SpecError(f"{where}.kind: '{kind}' is none of {', '.join(there)}")
    return there[kind]


def _section(cls: type[Any], values: Any, *, where: str) -> Any:
    if not isinstance(values, dict):
        raise SpecError(f"{where}: must be a mapping of keys")
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return from_mapping(cls, lists, where=where)
