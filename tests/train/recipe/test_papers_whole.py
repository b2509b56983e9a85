"""Each system at its paper's own windows and rate: fit, calibrate, evaluate, export, replay.

Only the networks are small, and the steps few; what a window is stays as the recipe has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import soundfile
from click.testing import CliRunner

import edge.cli
from edge.bundle import load_bundle
from edge.strictyaml import read_yaml
from tests.train.tones import RATE_HZ, song
from train.commands.build import calibrate_run, evaluate_run, export_run
from train.corpus.corpus import Corpus
from train.corpus.prepare import prepare
from train.corpus.splits import SplitPlan
from train.learning.fit import fit
from train.learning.run import TrainedRun
from train.learning.segment import segment
from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
NETWORKS: dict[str, dict[str, Any]] = {
    "mscnn": {"width": 4, "dropout": 0.0, "time_pool": 8},
    "cnn1": {"width": 4, "time_pool": 8, "normalise": False},
    "cnn2": {"width": 4, "time_pool": 8, "normalise": False},
    "spherical_kmeans": {"bases": 16},
    "mobilenet": {"width": 0.25, "features": 16},
    "resnet18": {"size": {"channels": [8, 8, 8, 8]}},
    "soundception": {"blocks": [0, 0, 0]},
    "resnest50": {"size": {**SMALL, "stem_width": 8}},
    "segmentation": {
        "width": 16,
        "heads": 4,
        "size": {**SMALL, "cardinality": 1, "base_width": 64},
    },
}
OBJECTIVES = {
    "triplet": {"per_class": 2},
    "semihard": {"batch": 6, "per_class": 2},
    "spherical_kmeans": {"batch": 4, "whitening_windows": 8},
}
# A recipe for each window and network that a paper has; the others differ in numbers of training.
WINDOWS = {
    "s1-mscnn-triplet-2s": (2.0, 44_100),
    "s2-cnn1-knn": (5.0, 22_050),
    "s2-cnn2-mlp": (5.0, 22_050),
    "s3-mobilenet": (5.0, 22_050),
    "s3-resnet18-repeated-50s": (50.0, 32_000),
    "s4-soundception-15s": (15.0, 22_050),
    "s5-classification": (5.0, 32_000),
    "s5-shift": (5.0, 32_000),
}
BEFORE = {"s5-shift": "s5-segmentation"}


def small(name: str) -> Recipe:
    """The recipe with a small network and few steps, and the windows that it has."""
    values = read_yaml(RECIPES / f"{name}.yaml", see="")
    objective, kind = values["objective"], values["network"]["kind"]
    changes: dict[str, Any] = {
        "network": {"kind": kind, "pretrained": False, "options": NETWORKS[kind]},
        "objective": {**objective, **OBJECTIVES.get(objective["kind"], {"batch": 4})},
        "steps": 2,
        "steps_per_epoch": 1,
    }
    if "stages" in values:
        changes["stages"] = [
            {"layers": layers, "steps": 1, "batch": 1} for layers in ("top", "all")
        ]
    if "classifier" in values and values["classifier"].get("kind", "mlp") == "mlp":
        changes["classifier"] = {**values["classifier"], "epochs": 2}
    return load_recipe(RECIPES / f"{name}.yaml", overrides=changes)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The fewest recordings, of 2 s, that have something of everything in each split."""
    folder = tmp_path_factory.mktemp("collection")
    rows = ["path,role,label,recordist"]
    for role, names, count in (
        ("known", ("hummer", "peeper"), 4),
        ("unknown", ("growler", "clicker", "wailer"), 1),
        ("noise", ("buzzer",), 3),
    ):
        for name, i in ((name, i) for name in names for i in range(count)):
            path = f"{name}_{i}.flac"
            soundfile.write(folder / path, song(name, 2, seed=len(rows)), RATE_HZ)
            rows.append(f"{path},{role},{name},{name} {i}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    plan = SplitPlan(test_share=0.25, folds=3)
    return prepare(folder / "manifest.csv", folder / "prepared", plan=plan).corpus


@pytest.fixture(scope="module")
def trained(
    corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TrainedRun]:
    """Train a recipe, and before it the one that it goes on from."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def train(name: str) -> TrainedRun:
        options: dict[str, Any] = {
            "folder": folder / name,
            "cache": folder / "features",
            "device": "cpu",
            "workers": 1,
            "report": lambda member, progress: None,
        }
        if name in BEFORE:
            return segment(small(name), corpus, earlier=train(BEFORE[name]).folder, **options)
        return fit(small(name), corpus, fold=0, **options)

    return train


@pytest.mark.parametrize("name", WINDOWS)
def test_a_system_replays_at_the_windows_of_its_paper(
    name: str, corpus: Corpus, trained: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    run = trained(name)
    calibrate_run(run, corpus)
    evaluate_run(run, corpus, resamples=10)
    export_run(run, corpus, path=tmp_path / "bundle", name=name)
    bundle = load_bundle(tmp_path / "bundle")
    assert (bundle.frontend.window_s, bundle.frontend.sample_rate_hz) == WINDOWS[name]
    assert bundle.frontend == load_recipe(RECIPES / f"{name}.yaml").frontend
    soundfile.write(tmp_path / "song.wav", song("peeper", 2, seed=99), RATE_HZ)
    heard = CliRunner().invoke(
        edge.cli.main,
        [
            *("replay", str(tmp_path / "song.wav"), "--format", "windows"),
            *("--bundle", str(tmp_path / "bundle")),
        ],
    )
    assert heard.exit_code == 0, heard.output
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert rows
    assert all(0 <= row["score"] <= 1 for row in rows)
