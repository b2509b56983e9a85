"""A recipe: everything that decides a training run, read from one YAML file and checked completely
before anything runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge.bundle.digest import canonical_digest
from edge.bundle.spec import WHOLE, FrontendSpec, from_mapping
from edge.errors import SpecError
from edge.strictyaml import read_yaml
from train.recipe.sections import (
    CHOICES,
    KINDS,
    OPTIMISERS,
    AugmentSpec,
    ClassifierSpec,
    CropSpec,
    CrossEntropySpec,
    FocalSpec,
    ForestSpec,
    KMeansSpec,
    KnnSpec,
    NetworkSpec,
    ObjectiveSpec,
    PseudoSpec,
    SemihardSpec,
    SplitSpec,
    StageSpec,
    TripletSpec,
)

__all__ = [
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
    "PseudoSpec",
    "Recipe",
    "SemihardSpec",
    "SplitSpec",
    "StageSpec",
    "TripletSpec",
    "load_recipe",
]


FRAMES = ("segmentation",)  # networks that say when, not only whether
NEWCOMERS: tuple[tuple[str, str, Any], ...] = (  # section, key, and the value that changes nothing
    ("", "head_rate", 1.0),
    ("", "crop", None),
    ("", "pseudo", None),
    ("objective", "secondary", 0.0),
    ("objective", "frame_weight", 0.0),
    ("augment", "animals_share", 0.0),
    ("augment", "animals_snr_db", [0.0, 25.0]),
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    `steps` are mini-batches, an epoch is `steps_per_epoch` of them, after which there is a
    checkpoint. `species` limits the labels to learn (all, when empty); known recordings of other
    labels become outliers. `withheld` species are learnt but answered with 'none of these'
    (`train.networks.withheld`). `acceptance` is the share of known validation windows that the
    rejection rule lets pass; `notes` go into the model card. `head_rate` is how many times the
    learning rate the layers behind a published trunk have. `pseudo` makes it a recipe for
    `edge-train segment` and `shift`.
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
    head_rate: float = 1.0
    classifier: ClassifierSpec | KnnSpec | ForestSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    crop: CropSpec | None = None
    pseudo: PseudoSpec | None = None
    seed: int = 0
    members: int = 1
    species: tuple[str, ...] = ()
    split: SplitSpec = field(default_factory=SplitSpec)
    withheld: tuple[str, ...] = ()
    acceptance: float = 0.95
    notes: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps_per_epoch < 1 or self.members < 1:
            raise SpecError("steps, steps_per_epoch and members must be at least 1")
        if self.frontend.channels[0].component not in WHOLE:
            raise SpecError(
                f"frontend.channels[0] must be {' or '.join(WHOLE)}: activity and mixing levels "
                "are measured on it"
            )
        if self.augment.hue and self.frontend.shape[0] != 3:
            raise SpecError(
                "augment.hue needs three channels to turn into each other, the frontend has "
                f"{self.frontend.shape[0]}"
            )
        if self.withheld and self.activation != "softmax_other":
            raise SpecError(
                "withheld needs objective cross_entropy with an outlier_share above 0: there is no "
                "'other' to answer"
            )
        if not isinstance(self.objective, CrossEntropySpec | FocalSpec) and self.classifier is None:
            raise SpecError(
                f"objective {self.objective.kind} learns no classes: add a classifier section"
            )
        if isinstance(self.objective, KMeansSpec) != (self.network.kind == "spherical_kmeans"):
            raise SpecError(
                "network spherical_kmeans and objective spherical_kmeans need each other"
            )
        if self.stages and sum(stage.steps for stage in self.stages) != self.steps:
            raise SpecError(
                f"stages: their steps add up to {sum(s.steps for s in self.stages)}, but steps is "
                f"{self.steps}"
            )
        if not 0 < self.head_rate <= 1000:
            raise SpecError(f"head_rate: {self.head_rate} is outside 0..1000")
        self._check_pseudo()

    def _check_pseudo(self) -> None:
        """Labels in time need a network with time steps, and sound that stays where they say it
        is.
        """
        weight = self.objective.frame_weight if isinstance(self.objective, FocalSpec) else 0.0
        if self.pseudo is None:
            if weight:
                raise SpecError(
                    "objective.frame_weight needs labels in time: add a pseudo section, or leave "
                    "it out"
                )
            return
        if self.network.kind not in FRAMES or not isinstance(self.objective, FocalSpec):
            raise SpecError(
                f"pseudo: network {self.network.kind} with objective {self.objective.kind} has no "
                "time steps to label: use "
                f"network {FRAMES[0]} with objective focal, or leave the section out"
            )
        if self.frontend.stack != 1 or self.frontend.frames is not None:
            raise SpecError(
                "pseudo: frontend.stack and frontend.frames change what a time step is: leave them "
                "out"
            )
        if self.crop is not None:
            raise SpecError("pseudo and crop both say where windows start: leave one of them out")
        for name in ("stretch", "time_shift_share", "masks"):
            if getattr(self.augment, name):
                raise SpecError(
                    f"augment.{name} would part sound from its pseudo label: leave it out of a "
                    "recipe with pseudo"
                )

    def as_mapping(self) -> dict[str, Any]:
        """Plain YAML types; `parse_recipe` reads it back."""
        plain: dict[str, Any] = json.loads(
            json.dumps({**dataclasses.asdict(self), "frontend": self.frontend.as_mapping()})
        )
        return plain

    @property
    def activation(self) -> Literal["softmax", "softmax_other", "sigmoid"]:
        """How the head reads the logits: against 'other' when outliers were shown in training; each
        alone after focal loss.
        """
        if isinstance(self.objective, FocalSpec):
            return "sigmoid"
        shown = isinstance(self.objective, CrossEntropySpec) and self.objective.outlier_share > 0
        return "softmax_other" if shown else "softmax"

    @property
    def digest(self) -> str:
        """sha256 of what training depends on: a checkpoint is resumed only by the recipe that wrote
        it.
        """
        decisive = {
            key: value
            for key, value in self.as_mapping().items()
            if key not in ("notes", "acceptance", "withheld")
        }
        # so that a checkpoint of before there were any is resumed
        for section, key, neutral in NEWCOMERS:
            there = decisive[section] if section else decisive
            if there.get(key, neutral) == neutral:
                there.pop(key, None)
        return canonical_digest(decisive)


LISTS = ("stages", "species", "withheld")
SECTIONS: dict[str, type[Any]] = {
    "network": NetworkSpec,
    "augment": AugmentSpec,
    "split": SplitSpec,
    "crop": CropSpec,
    "pseudo": PseudoSpec,
}


def load_recipe(
    path: Path, *, overrides: Mapping[str, Any] | None = None, from_scratch: bool = False
) -> Recipe:
    """Read a recipe file; every mistake is one line that names the file and the key.
    `from_scratch`: no published weights.
    """
    values = read_yaml(path, see="config/recipes/")
    recipe = parse_recipe({**values, **(overrides or {})}, where=str(path))
    if from_scratch:
        recipe = dataclasses.replace(
            recipe, network=dataclasses.replace(recipe.network, pretrained=False)
        )
    return recipe


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Build a recipe from plain YAML types."""
    parsed = dict(values)
    _check_shapes(parsed, where=where)
    frontend = parsed.get("frontend") or {}
    parsed["frontend"] = FrontendSpec.parse(frontend, where=f"{where}: frontend")
    for key, cls in SECTIONS.items():
        if parsed.get(key) is not None:
            parsed[key] = _section(cls, parsed[key], where=f"{where}: {key}")
    for key, classes in KINDS.items():
        if parsed.get(key) is not None:
            parsed[key] = _section(
                _kind(parsed[key], classes, where=f"{where}: {key}"),
                parsed[key],
                where=f"{where}: {key}",
            )
    stages = parsed.get("stages") or ()
    parsed["stages"] = tuple(
        _section(StageSpec, stage, where=f"{where}: stages[{i}]") for i, stage in enumerate(stages)
    )
    for key in ("species", "withheld"):
        parsed[key] = tuple(parsed.get(key) or ())
    recipe: Recipe = from_mapping(Recipe, parsed, where=where)
    for key, allowed in CHOICES.items():
        if getattr(recipe, key) not in allowed:
            raise SpecError(
                f"{where}: {key}: '{getattr(recipe, key)}' is none of {', '.join(allowed)}"
            )
    _check_plain(recipe, where=where)
    return recipe


def _check_shapes(values: Mapping[str, Any], *, where: str) -> None:
    """Raise `SpecError` for a key whose value is not the mapping or the list that it must be."""
    if not isinstance(values.get("frontend") or {}, dict):
        raise SpecError(f"{where}: frontend: must be a mapping of keys")
    for key in LISTS:
        if not isinstance(values.get(key) or [], list | tuple):
            raise SpecError(f"{where}: {key}: must be a list")


def _check_plain(recipe: Recipe, *, where: str) -> None:
    """Raise `SpecError` for a date, NaN or infinity: a recipe is plain JSON types, or has no
    digest.
    """
    try:
        _ = recipe.digest
    except (TypeError, ValueError) as exc:
        raise SpecError(f"{where}: {exc}; use text, finite numbers, lists and keys") from exc


def _kind(values: Any, classes: tuple[type[Any], ...], *, where: str) -> type[Any]:
    """The class of a section by its key `kind`; a classifier without one is the MLP, an objective
    must name its own.
    """
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
