"""What `make gpu` measures: networks, batch sizes and time, in full and tiny."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe

__all__ = ["FULL", "LABELS", "TINY", "Measured", "Plan"]

RECIPES = Path("config/recipes")
LABELS = tuple(f"species_{i:02d}" for i in range(27))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A recipe whose network is measured, without published weights.

    `overrides` replace keys of the recipe.
    """

    title: str
    recipe: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def load(self, root: Path) -> Recipe:
        """Read the recipe of the checkout `root`."""
        file = root / RECIPES / f"{self.recipe}.yaml"
        recipe = load_recipe(file, overrides=self.overrides, from_scratch=True)
        # Of a procedure in stages the last one is measured, which moves all layers.
        if not recipe.stages:
            return recipe
        last = recipe.stages[-1]
        spec: Any = recipe.objective
        objective = dataclasses.replace(spec, batch=last.batch)
        return dataclasses.replace(recipe, stages=(), objective=objective)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is measured; `seconds` is the time of each measurement.

    `matrix` is the edge of the square matrices whose product is the ceiling of arithmetic, `copied`
    the bytes that are moved for that of memory. `training_batches` are tried beside the recipe's.
    """

    networks: tuple[Measured, ...]
    batches: tuple[int, ...]
    training: tuple[Measured, ...]
    training_batches: tuple[int, ...]
    training_steps: int
    seconds: float
    matrix: int
    copied: int

    def only(self, part: str) -> Plan:
        """Return the plan with the networks and recipes whose title contains `part`."""
        networks = tuple(measured for measured in self.networks if part in measured.title)
        training = tuple(measured for measured in self.training if part in measured.title)
        return dataclasses.replace(self, networks=networks, training=training)


_DEFAULT = Measured(title="Default, two compact networks", recipe="default")
_S4 = Measured(title="S4 Soundception", recipe="s4-soundception")
FULL = Plan(
    networks=(
        _DEFAULT,
        Measured(title="S1 MS-CNN", recipe="s1-mscnn-crossentropy"),
        Measured(title="S3 reduced MobileNetV2", recipe="s3-mobilenet"),
        Measured(title="S3 ResNet-18", recipe="s3-resnet18-averaged"),
        _S4,
        Measured(title="S5 ResNeSt-50", recipe="s5-classification"),
    ),
    batches=(1, 8, 64, 512),
    training=(
        Measured(title="S1 MS-CNN, dynamic triplet loss", recipe="s1-mscnn-triplet"),
        _S4,
    ),
    training_batches=(64,),
    training_steps=8,
    seconds=0.2,
    matrix=8192,
    copied=1 << 30,
)
_TINY_COMPACT = {"network": {"kind": "compact", "options": {"width": 4}}}
_TINY_S1 = {
    "network": {"kind": "mscnn", "options": {"width": 4, "time_pool": 8}},
    "objective": {"kind": "triplet", "per_class": 2, "triplets_per_step": 20},
}
_TINY_S4 = {
    "frontend": {
        "n_mels": 76,
        "hop_length": 800,
        "frames": 130,
        "channels": [{"component": "linear", "n_fft": 1024, "level": {"kind": "quantile"}}] * 3,
    },
    "network": {"kind": "soundception", "options": {"blocks": [0, 1, 0]}},
}
TINY = Plan(
    networks=(dataclasses.replace(_DEFAULT, overrides=_TINY_COMPACT),),
    batches=(1, 2),
    training=(
        Measured(
            title="S1 MS-CNN, dynamic triplet loss", recipe="s1-mscnn-triplet", overrides=_TINY_S1
        ),
        dataclasses.replace(_S4, overrides=_TINY_S4),
    ),
    training_batches=(),
    training_steps=2,
    seconds=0.02,
    matrix=256,
    copied=1 << 26,
)
