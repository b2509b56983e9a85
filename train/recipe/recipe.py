"""A recipe: everything that decides a training run, checked completely before anything runs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from edge.bundle.digest import canonical_digest
from edge.bundle.frontend_limits import LONGEST_WINDOW_S
from edge.bundle.spec import WHOLE, FrontendSpec
from edge.errors import SpecError
from train.recipe.augmentation import AugmentSpec
from train.recipe.classifiers import AnyClassifierSpec
from train.recipe.departures import check_departures
from train.recipe.naming import check_name
from train.recipe.objectives import (
    CrossEntropySpec,
    DistilSpec,
    FocalSpec,
    KMeansSpec,
    ObjectiveSpec,
)
from train.recipe.ranges import Count, Factor, Range, Rate, Seed, Share, Weight, Whole, check_ranges
from train.recipe.sections import LONGEST_S, CropSpec, NetworkSpec, PseudoSpec, SplitSpec, StageSpec

__all__ = ["OPTIMISERS", "SCHEDULES", "Recipe"]

OPTIMISERS = ("adagrad", "adam", "adamw", "ranger", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
FRAMES = ("segmentation",)  # networks that say when, not only whether
OF_BASES = ("spherical_kmeans", "sparse_dictionary")  # networks that learn without labels
# What training does not depend on.
INDECISIVE = (
    *("notes", "paper", "section", "departs"),
    *("acceptance", "withheld", "left_out_share", "weight", "heard_s"),
)
# Section, key, and the value that changes nothing, of keys that older checkpoints do not know.
NEWCOMERS: tuple[tuple[str, str, Any], ...] = (
    ("", "head_rate", 1.0),
    ("", "crop", None),
    ("", "least_s", 0.0),
    ("", "pseudo", None),
    ("", "keep", "last"),
    ("network", "weights", ""),
    ("", "patience", 0),
    ("", "warm_up_steps", 60),
    ("objective", "margin_rule", "separate_runs"),
    ("objective", "mining_distance", "squared_euclidean"),
    ("objective", "negatives", "within_margin"),
    ("objective", "secondary", 0.0),
    ("objective", "frame_weight", 0.0),
    ("classifier", "votes", "fading"),
    ("augment", "dilation", 0.0),
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
    rejection rule lets pass; `notes` go into the model card. `left_out_share` is the share of the
    steps that each training with species left out has (`train.learning.leaving_out`; 0: there is
    none). After training, a network of time steps hears `heard_s` at once (0: a window as in
    training). `weight` is what the bundle counts where several judge together. `head_rate` is how
    many times the learning rate the layers behind a published trunk have. The `cosine` schedule
    begins with `warm_up_steps` in which the learning rate rises. `keep` says which epoch's weights
    are used; after `patience` epochs without a lower validation loss training ends (0: it does
    not). `classifier` is trained on frozen embeddings, where the network has no logits of its own.
    Recordings shorter than `least_s` are repeated from their beginning in training. `pseudo` makes
    it a recipe for `edge-train segment` and `shift`. `paper` and `section` say where the system was
    published, and `departs` in which keys the recipe differs from it, each with the reason.
    """

    name: str
    frontend: FrontendSpec
    network: NetworkSpec
    objective: ObjectiveSpec
    steps: Count
    steps_per_epoch: Count = 100
    optimiser: Literal["adagrad", "adam", "adamw", "ranger", "rmsprop", "sgd"] = "adamw"
    schedule: Literal["constant", "cosine"] = "cosine"
    warm_up_steps: Whole = 60
    learning_rate: Rate = 1e-3
    weight_decay: Weight = 1e-4
    head_rate: Factor = 1.0
    keep: Literal["last", "least_validation_loss"] = "last"
    patience: Whole = 0
    classifier: AnyClassifierSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    crop: CropSpec | None = None
    least_s: Annotated[float, Range(0, LONGEST_S)] = 0.0
    pseudo: PseudoSpec | None = None
    seed: Seed = 0
    members: Annotated[int, Range(1, 1000)] = 1
    species: tuple[str, ...] = ()
    split: SplitSpec = field(default_factory=SplitSpec)
    withheld: tuple[str, ...] = ()
    acceptance: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.95
    left_out_share: Share = 0.25
    weight: Factor = 1.0
    heard_s: Annotated[float, Range(0, LONGEST_WINDOW_S)] = 0.0
    paper: str = ""
    section: str = ""
    departs: dict[str, str] = field(default_factory=dict)
    notes: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_numbers()
        self._check_frontend()
        self._check_heard()
        self._check_objective()
        self._check_paper()
        if self.pseudo is not None:
            self._check_pseudo()
        elif isinstance(self.objective, FocalSpec) and self.objective.frame_weight:
            raise SpecError(
                "objective.frame_weight needs labels in time: add a pseudo section, or leave it out"
            )

    def _check_numbers(self) -> None:
        check_ranges(self)
        in_stages = sum(stage.steps for stage in self.stages)
        if self.stages and in_stages != self.steps:
            raise SpecError(f"stages: their steps add up to {in_stages}, but steps is {self.steps}")

    def _check_frontend(self) -> None:
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

    def _check_heard(self) -> None:
        if not self.heard_s:
            return
        if self.network.kind not in FRAMES or self.frontend.stack != 1 or self.frontend.frames:
            raise SpecError(
                f"heard_s: needs network {FRAMES[0]} without frontend.stack and frames, not "
                f"{self.network.kind}; leave it out"
            )
        if self.heard.window_s < self.frontend.window_s:
            window_s = self.frontend.window_s
            raise SpecError(f"heard_s: {self.heard_s} is less than frontend.window_s {window_s}")

    def _check_objective(self) -> None:
        if self.withheld and self.activation != "softmax_other":
            raise SpecError(
                "withheld needs objective cross_entropy with an outlier_share above 0: there is no "
                "'other' to answer"
            )
        scoring = CrossEntropySpec | FocalSpec | DistilSpec
        if not isinstance(self.objective, scoring) and self.classifier is None:
            raise SpecError(
                f"objective {self.objective.kind} learns no classes: add a classifier section"
            )
        if isinstance(self.objective, KMeansSpec) != (self.network.kind in OF_BASES):
            raise SpecError(
                f"objective spherical_kmeans and a network of {' or '.join(OF_BASES)} need each "
                "other"
            )
        if isinstance(self.objective, DistilSpec) != (self.network.kind == "local"):
            raise SpecError("network local and objective distil need each other")

    def _check_paper(self) -> None:
        if (self.departs or self.section) and not self.paper:
            raise SpecError("departs and section need a paper: name it, or leave them out")
        check_departures(self, self.departs)

    def _check_pseudo(self) -> None:
        """Raise `SpecError` unless the network has time steps, and sound stays at its labels."""
        if self.network.kind not in FRAMES or not isinstance(self.objective, FocalSpec):
            raise SpecError(
                f"pseudo: network {self.network.kind} with objective {self.objective.kind} has no "
                f"time steps to label: use network {FRAMES[0]} with objective focal, or leave the "
                "section out"
            )
        if self.frontend.stack != 1 or self.frontend.frames is not None:
            raise SpecError(
                "pseudo: frontend.stack and frontend.frames change what a time step is: leave them "
                "out"
            )
        if self.crop is not None:
            raise SpecError("pseudo and crop both say where windows start: leave one of them out")
        for name in ("stretch", "dilation", "time_shift_share", "masks"):
            if getattr(self.augment, name):
                raise SpecError(
                    f"augment.{name} would move sound away from its pseudo label: leave it out of "
                    "a recipe with pseudo"
                )

    def as_mapping(self) -> dict[str, Any]:
        """Return plain YAML types, which `train.recipe.load.parse_recipe` reads back."""
        plain: dict[str, Any] = json.loads(
            json.dumps({**dataclasses.asdict(self), "frontend": self.frontend.as_mapping()})
        )
        return plain

    @property
    def heard(self) -> FrontendSpec:
        """The frontend of the finished network: its windows are those of the bundle."""
        window_s = self.heard_s or self.frontend.window_s
        return dataclasses.replace(self.frontend, window_s=window_s)

    @property
    def activation(self) -> Literal["softmax", "softmax_other", "sigmoid"]:
        """How the head reads the logits.

        They are read against 'other' when outliers were shown in training, each alone after focal
        loss.
        """
        if isinstance(self.objective, FocalSpec):
            return "sigmoid"
        against_other = CrossEntropySpec | DistilSpec
        shown = isinstance(self.objective, against_other) and self.objective.outlier_share > 0
        return "softmax_other" if shown else "softmax"

    @property
    def digest(self) -> str:
        """sha256 of what training depends on: only the same recipe resumes a checkpoint."""
        decisive = {k: v for k, v in self.as_mapping().items() if k not in INDECISIVE}
        # Left out where neutral, so that a checkpoint from before there were any is resumed.
        for section, key, neutral in NEWCOMERS:
            values = decisive[section] if section else decisive
            if values is not None and values.get(key, neutral) == neutral:
                values.pop(key, None)
        return canonical_digest(decisive)
