"""Each number of a paper's tables that a recipe has: the paper's, or a departure of the recipe.

Beside each number stands the section of the paper that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
Numbers = dict[str, tuple[Any, str]]

THAKUR_WINDOWS: Numbers = {
    "frontend.window_s": (2.0, "III.C"),
    "frontend.sample_rate_hz": (44_100, "III.A"),
    "frontend.n_fft": (882, "III.C: 20 ms frames"),
    "frontend.hop_length": (441, "III.C: 50 % overlap"),
    "frontend.n_mels": (40, "II.A"),
}
MS_CNN: Numbers = {
    **THAKUR_WINDOWS,
    "network.options.width": (64, "II.B.1"),
    "network.options.dropout": (0.5, "II.B.1"),
    "weight_decay": (1e-4, "II.B.1"),
    "schedule": ("constant", "II.B.1"),
}
DYNAMIC_TRIPLETS: Numbers = {
    **MS_CNN,
    "objective.per_class": (5, "II.C"),
    "objective.triplets_per_step": (50, "II.C"),
    "objective.margin": (0.2, "Algorithm 1, line 1"),
    "objective.margin_step": (0.05, "Algorithm 1, line 14"),
    "objective.margin_maximum": (0.65, "Algorithm 1, line 12: raised at 0.6, too"),
    "objective.scarce": (15, "Algorithm 1, line 3"),
    "objective.patience": (3, "Algorithm 1, line 13"),
    "objective.margin_rule": ("algorithm", "Algorithm 1, lines 12 to 17"),
    "objective.mining_distance": ("euclidean", "II.C"),
    "objective.converged_loss": (0.0, "II.C"),
    "optimiser": ("adagrad", "II.B.1"),
    "learning_rate": (1e-3, "II.B.1"),
    "steps": (100 * 1000, "Algorithm 1, line 4, and II.C"),
    "steps_per_epoch": (1000, "II.C"),
    "classifier.hidden": (256, "II.B.2"),
    "classifier.learning_rate": (1e-3, "II.B.2"),
    "classifier.weight_decay": (1e-4, "II.B.2"),
    "classifier.dropout": (0.0, "II.B.2"),
}
CLEMENTINO: Numbers = {
    "frontend.window_s": (5.0, "2"),
    "frontend.sample_rate_hz": (22_050, "Table 1"),
    "frontend.n_mels": (128, "Table 1"),
    "frontend.n_fft": (1024, "Table 1"),
    "frontend.hop_length": (512, "Table 1"),
    "frontend.resized_bands": (40, "Table 2"),
    "frontend.frames": (200, "Table 2"),
}
PAPERS: dict[str, Numbers] = {
    "s1-mscnn-triplet": DYNAMIC_TRIPLETS,
    "s1-mscnn-triplet-mel": DYNAMIC_TRIPLETS,
    "s1-mscnn-crossentropy": {
        **MS_CNN,
        "objective.batch": (32, "III.C"),
        "optimiser": ("adam", "III.C"),
        "learning_rate": (1e-3, "III.C"),
        "keep": ("least_validation_loss", "III.C"),
        "steps": (200 * 31, "III.C: 200 epochs; III.D: half of 1982 examples"),
        "steps_per_epoch": (31, "III.C: a checkpoint after each epoch"),
    },
    "s1-spherical-kmeans-forest": {
        **THAKUR_WINDOWS,
        "network.options.bases": (128, "III.C"),
        "classifier.trees": (100, "III.C"),
    },
    "s2-cnn1-knn": {
        **CLEMENTINO,
        "objective.batch": (128, "Table 4, submission 1"),
        "objective.margin": (0.5, "Table 4, submission 1"),
        "learning_rate": (0.01, "Table 4, submission 1"),
        "steps": (10 * 547, "Table 4: 10 epochs; 2: 70,000 spectrograms"),
        "steps_per_epoch": (547, "2"),
        "classifier.kind": ("knn", "Table 4, submission 1"),
    },
    "s2-cnn2-mlp": {
        **CLEMENTINO,
        "objective.batch": (32, "Table 4, submissions 4 and 5"),
        "objective.margin": (1.0, "Table 4, submissions 4 and 5"),
        "learning_rate": (0.001, "Table 4, submissions 4 and 5"),
        "steps": (30 * 2188, "Table 4: 30 epochs; 2: 70,000 spectrograms"),
        "classifier.hidden": (256, "Table 3"),
        "classifier.dropout": (0.5, "Table 3"),
        "classifier.epochs": (200, "3.2"),
        "classifier.learning_rate": (0.001, "3.2"),
    },
}
# Keys with the paper's value, which stands for something measured otherwise than in the paper.
MEASURED_OTHERWISE = ("keep",)


def value_at(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def departs(recipe: Recipe, key: str) -> Literal["", "key", "section"]:
    """Say whether a recipe departs in a key, or in the whole section of it."""
    if key in recipe.departs:
        return "key"
    return "section" if key.split(".", maxsplit=1)[0] in recipe.departs else ""


NUMBERS = [
    pytest.param(name, key, number, id=f"{name}-{key}")
    for name, numbers in PAPERS.items()
    for key, (number, _) in numbers.items()
]


@pytest.mark.parametrize(("name", "key", "number"), NUMBERS)
def test_a_number_is_the_paper_s_or_a_departure(name: str, key: str, number: Any) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    section = PAPERS[name][key][1]
    if value_at(recipe, key) == number:
        stale = departs(recipe, key) == "key" and key not in MEASURED_OTHERWISE
        assert not stale, f"{key} is the paper's ({section}): no departure"
    else:
        assert departs(recipe, key), f"{key} is {value_at(recipe, key)}, not {number} ({section})"
