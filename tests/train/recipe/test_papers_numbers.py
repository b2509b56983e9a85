"""Each number of a paper's tables that a recipe has: the paper's, or a departure of the recipe.

Beside each number stands the section of the paper that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from train.judging import post_processing
from train.learning import classifier
from train.networks import mobilenet, segmentation
from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
Numbers = dict[str, tuple[Any, str]]

THAKUR_WINDOWS: Numbers = {
    "frontend.window_s": (2.0, "III.C"),
    "frontend.sample_rate_hz": (44_100, "III.A"),
    "frontend.n_fft": (882, "III.C: 20 ms frames"),
    "frontend.hop_length": (441, "III.C: 50 % overlap"),
    "split": ("50, 15 and 35 % of a class at random", "III.D"),
}
MS_CNN: Numbers = {
    **THAKUR_WINDOWS,
    "frontend.n_mels": (40, "II.A"),
    "network.kind": ("1,286,410 parameters", "II.B.1"),
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
    "frontend.channels.component": (("mel", "harmonic and percussive of mel"), "2"),
    "network.options.normalise": (False, "Table 2: the last layer is linear"),
    "split": ("the soundscapes of BirdCLEF 2020", "3.3"),
}
CLEMENTINO_MLP: Numbers = {
    "classifier.hidden": (256, "Table 3"),
    "classifier.dropout": (0.5, "Table 3"),
    "classifier.epochs": (200, "3.2"),
    "classifier.learning_rate": (0.001, "3.2"),
}
TEAM_G: Numbers = {
    "frontend.shape": ((10, 128, 321), "Data Shape"),
    "frontend.sample_rate_hz": (32_000, "Dataset: BirdCLEF 2021's recordings"),
    "split.test_share": (0.3, "Data Shape: 30 % used to test"),
    "objective.batch": (16, "Results"),
    "optimiser": ("adamw", "Results: Adam with weight decay"),
    "schedule": ("constant", "Results"),
    "steps_per_epoch": (27, "Data Shape: 70 % of 609 samples"),
}
# The two readings of what is stacked
SPECTROGRAMS: dict[str, Numbers] = {
    "": {"frontend.window_s": (5.0, "one window in ten stretches")},
    "-50s": {
        "frontend.window_s": (50.0, "ten spectrograms of 5 s"),
        "frontend.hop_length": (500, "Data Shape: 321 = 1 + 5 s x 32 kHz / 500"),
    },
}
MOBILENET: Numbers = {
    "network.kind": ("mobilenet", "Layers"),
    "learning_rate": (0.01, "Results"),
}
RESNET18: Numbers = {
    "network.kind": ("resnet18", "ResNet18"),
    "network.pretrained": (True, "ResNet18: on ImageNet"),
    "learning_rate": (0.001, "Results of ResNet18"),
    "weight_decay": (1e-4, "Results of ResNet18"),
}
SEVILLA: Numbers = {
    "frontend.sample_rate_hz": (22_050, "2.1, step 1"),
    "frontend.window_s": (15.0, "2.2 and 3.1"),
    "least_s": (60.0, "3.1"),
    "frontend.channels.n_fft": ((128, 512, 2048), "2.1, step 6"),
    "frontend.channels.component": (("bins",) * 3, "2.1, steps 6 to 8: the resize comes last"),
    "frontend.n_mels": (299, "2.1, step 8"),
    "network.kind": ("soundception", "3.1"),
    "network.pretrained": (True, "3.1"),
    "augment.dilation": (0.05, "2.2: 0.95 to 1.05"),
    "augment.crop_top": (0.04, "2.2: 0.96 to 1"),
    "augment.crop_bottom": (0.01, "2.2: 0 to 0.01"),
    "stages.layers": (("top", "last", "all"), "3.3"),
    "stages.batch": ((8, 8, 4), "3.3; of the first it does not say"),
    "split.folds": (10, "3.3: 10 % validate"),
}
SHUGAYEV: Numbers = {
    "frontend.window_s": (5.0, "2.1"),
    "frontend.sample_rate_hz": (32_000, "1"),
    "frontend.n_mels": (128, "2.1"),
    "network.pretrained": (True, "2.2 and 2.3"),
    "objective.secondary": (0.995, "3"),
    "augment.mixup_alpha": (4.5, "2.1: 4 to 5"),
    "split": ("five folds, stratified; soundscapes", "3"),
    "optimiser": ("ranger with LARS", "2.4: Ranger-Larese-Lookahead"),
    "schedule": ("cosine", "2.4"),
    "warm_up_steps": (0, "2.4"),
}
SEGMENTATION: Numbers = {
    **SHUGAYEV,
    "frontend.shape": ((1, 128, 512), "2.1"),
    "network.kind": ("segmentation", "2.3"),
    "network.options.width": (512, "2.3"),
    "network.options.heads": (8, "2.3"),
    "objective.minimum_weight": (0.3, "2.3"),
    "head_rate": (10, "2.4: 0.001 and 0.01"),
    "heard_s": (600.0, "3: full-length, 10 min, clips"),
}
PAPERS: dict[str, Numbers] = {
    "s1-mscnn-triplet": DYNAMIC_TRIPLETS,
    "s1-mscnn-triplet-mel": DYNAMIC_TRIPLETS,
    "s1-mscnn-triplet-2s": {
        **DYNAMIC_TRIPLETS,
        "frontend.fmax_hz": (22_050, "III.A: half of the rate"),
    },
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
        "network.kind": ("spherical_kmeans", "III.C"),
        "network.options.bases": (128, "III.C"),
        "classifier.kind": ("forest", "III.C"),
        "classifier.trees": (100, "III.C"),
        "classifier.smallest_leaf": (1, "III.C: nothing is said of it"),
    },
    "s1-sparse-dictionary": {
        **THAKUR_WINDOWS,
        "frontend.channels.component": (("compressed spectral frames",), "III.B"),
        "network.kind": ("archetypal analysis of each class, 128, 64 and 32", "III.C"),
        "classifier.kind": ("forest", "III.C"),
        "classifier.trees": (100, "III.C"),
        "classifier.smallest_leaf": (1, "III.C: nothing is said of it"),
    },
    "s1-elm": {
        **THAKUR_WINDOWS,
        "network.kind": ("low-level audio descriptors", "III.B"),
        "classifier.kind": ("extreme learning machine of a polynomial kernel", "III.B"),
        "classifier.hidden": (0, "III.B: a kernel has none"),
        "classifier.ridge": ("of Qian et al.", "III.C"),
    },
    "s2-cnn1-knn": {
        **CLEMENTINO,
        "objective.batch": (128, "Table 4, submission 1"),
        "objective.margin": (0.5, "Table 4, submission 1"),
        "learning_rate": (0.01, "Table 4, submission 1"),
        "steps": (10 * 547, "Table 4: 10 epochs; 2: 70,000 spectrograms"),
        "steps_per_epoch": (547, "2"),
        "network.kind": ("cnn1", "Table 4, submission 1"),
        "classifier.kind": ("knn", "Table 4, submission 1"),
        "classifier.votes": ("equal", "3.1: a kNN classifier"),
    },
    "s2-cnn1-mlp": {
        **CLEMENTINO,
        **CLEMENTINO_MLP,
        "network.kind": ("cnn1", "Table 4, submission 2"),
        "objective.batch": (128, "Table 4, submission 2"),
        "objective.margin": (0.5, "Table 4, submission 2"),
        "learning_rate": (0.001, "Table 4, submission 2"),
        "steps": (20 * 547, "Table 4: 20 epochs; 2: 70,000 spectrograms"),
    },
    "s2-cnn2-mlp-128": {
        **CLEMENTINO,
        **CLEMENTINO_MLP,
        "network.kind": ("cnn2", "Table 4, submission 3"),
        "objective.batch": (128, "Table 4, submission 3"),
        "objective.margin": (1.0, "Table 4, submission 3"),
        "learning_rate": (0.001, "Table 4, submission 3"),
        "steps": (20 * 547, "Table 4: 20 epochs; 2: 70,000 spectrograms"),
    },
    "s2-cnn2-mlp": {
        **CLEMENTINO,
        **CLEMENTINO_MLP,
        "network.kind": ("cnn2", "Table 4, submissions 4 and 5"),
        "objective.batch": (32, "Table 4, submissions 4 and 5"),
        "objective.margin": (1.0, "Table 4, submissions 4 and 5"),
        "learning_rate": (0.001, "Table 4, submissions 4 and 5"),
        "steps": (30 * 2188, "Table 4: 30 epochs; 2: 70,000 spectrograms"),
    },
    **{f"s3-mobilenet{input_}": {**TEAM_G, **MOBILENET, **n} for input_, n in SPECTROGRAMS.items()},
    **{
        f"s3-resnet18-{widen}{input_}": {
            **TEAM_G,
            **RESNET18,
            **numbers,
            "network.options.widen": (how, "ResNet18: first layer weights"),
        }
        for widen, how in (("averaged", "average"), ("repeated", "repeat"))
        for input_, numbers in SPECTROGRAMS.items()
    },
    "s4-soundception": SEVILLA,
    "s4-soundception-15s": SEVILLA,
    "s5-classification": {
        **SHUGAYEV,
        "frontend.shape": ((1, 128, 313), "2.1"),
        "frontend.n_fft": (2048, "3: the lower value is the segmentation's"),
        "network.kind": ("resnest50", "2.2"),
        "weight": (0.3, "3: of the final models"),
        "crop.ends_share": (0.2, "2.2 (1)"),
        "crop.shift_s": ((0, 2), "2.2 (1)"),
        "crop.longest_s": (60, "2.2 (2)"),
        "augment.noise_share": (0.0, "3: no noise of the train soundscapes"),
    },
    "s5-segmentation": {
        **SEGMENTATION,
        "frontend.n_fft": (1024, "2.4"),
        "learning_rate": (1e-3, "2.4"),
        "steps": (64 * 1965, "2.4: 64 epochs; 1: 62,874 recordings"),
        "augment.noise_share": (0.0, "2.4 (3): mixed in at step 3"),
    },
    "s5-segment": {
        **SEGMENTATION,
        "frontend.n_fft": (1024, "2.4"),
        "objective.frame_weight": (0.5, "2.4 (2): equal contributions"),
        "learning_rate": (1e-3, "2.4"),
        "steps": (64 * 1965, "2.4: 64 epochs; 1: 62,874 recordings"),
        "augment.noise_share": (0.0, "2.4 (3): mixed in at step 3"),
    },
    **{
        name: {
            **SEGMENTATION,
            "frontend.n_fft": (n_fft, "2.4"),
            "objective.frame_weight": (0.5, "2.4 (2): equal contributions"),
            "learning_rate": (5e-4, "2.4: reduced twice at step 3"),
            "steps": (64 * 1965, "2.4: 28 to 64 epochs; 1: 62,874 recordings"),
            "keep": ("least_validation_loss", "2.4: the best model selection"),
            "weight": (0.7, "3: of the final models"),
        }
        for name, n_fft in (("s5-shift", 2048), ("s5-shift-1024", 1024))
    },
}
# Keys with the paper's value, which stands for something measured otherwise than in the paper.
MEASURED_OTHERWISE = ("keep",)


def value_at(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        if isinstance(value, tuple):
            value = tuple(getattr(one, part) for one in value)
        else:
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def departs(recipe: Recipe, key: str) -> Literal["", "key", "section"]:
    """Say whether a recipe departs in a key, or in the whole of a section that it is in."""
    if key in recipe.departs:
        return "key"
    parts = key.split(".")
    above = (".".join(parts[:n]) for n in range(1, len(parts)))
    return "section" if any(section in recipe.departs for section in above) else ""


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


def test_every_recipe_of_a_paper_has_its_numbers_here() -> None:
    assert set(PAPERS) == {path.stem for path in RECIPES.glob("s[1-5]-*.yaml")}


def test_numbers_that_are_in_the_networks_are_the_papers() -> None:
    # Slides, "Layers": custom settings [t, c, n, s]
    assert (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2)),
        *((6, 64, 2, 2), (6, 64, 1, 1)),
    ) == mobilenet.ROWS
    assert classifier.BATCH == 256  # Clementino and Colonna 2020, 3.2
    # Shugayev et al. 2021, 2.3 and 2.5 (1)
    assert (segmentation.SOFT_MAXIMUM, segmentation.SOFT_MINIMUM) == (5, -1)
    assert (post_processing.PASSED, post_processing.GAIN) == (0.5, 1.3)
    frontend = load_recipe(RECIPES / "s5-segmentation.yaml").frontend
    assert frontend.shape[2] / segmentation.SCALE == 16
    step_s = segmentation.SCALE * frontend.hop_length / frontend.sample_rate_hz
    assert step_s == pytest.approx(0.3, abs=0.02)
    # Sevilla and Glotin 2017, 2.1 step 8: 299 pixels for 1.5 s
    image = load_recipe(RECIPES / "s4-soundception-15s.yaml").frontend
    assert image.shape == (3, 299, 299 * 15 / 1.5)
