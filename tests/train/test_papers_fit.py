"""Every system of the papers, made tiny, from recordings to a bundle that replays; and the sweep of optimisers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from click.testing import CliRunner

import edge.cli
from edge.bundle import load_bundle
from tests.train.test_fit import edge_train, write_recipe
from tests.train.tones import RATE_HZ, SPECIES, song, write_collection
from train.recipe import load_recipe

MEL = {"component": "mel", "level": {"kind": "max"}}
BASE: dict[str, Any] = {
    "frontend": {"n_mels": 40, "channels": [MEL]},
    "objective": {"kind": "cross_entropy", "batch": 8},
    "schedule": "constant",
    "steps": 12,
    "steps_per_epoch": 6,
    "split": {"test_share": 0.25, "folds": 3},
}
EMBEDS = {"kind": "semihard", "batch": 24, "per_class": 8, "margin": 0.5}
SYSTEMS: dict[str, dict[str, Any]] = {
    "s2": {
        "network": {"kind": "cnn2", "options": {"width": 8, "time_pool": 8}},
        "objective": EMBEDS,
        "classifier": {"kind": "knn", "k": 3},
        "steps": 10,
        "steps_per_epoch": 10,
    },
    "forest": {
        "network": {"kind": "spherical_kmeans", "options": {"bases": 24}},
        "objective": {"kind": "spherical_kmeans", "batch": 8, "whitening_windows": 24},
        "classifier": {"kind": "forest", "trees": 20},
        "steps": 6,
    },
    "s3": {"network": {"kind": "mobilenet", "options": {"width": 0.25, "features": 64}}, "steps": 6, "learning_rate": 0.01},
    "s4": {
        "frontend": {"n_mels": 76, "hop_length": 1024, "channels": [MEL, MEL, MEL]},
        "network": {"kind": "soundception", "pretrained": False, "options": {"blocks": [0, 0, 0]}},
        "stages": [
            {"layers": "top", "steps": 1},
            {"layers": "last", "steps": 2, "batch": 4, "learning_rate": 0.002},
            {"layers": "all", "steps": 2, "batch": 4},
        ],
        "steps": 5,
        "steps_per_epoch": 2,
    },
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the systems find what an earlier one has computed of the collection."""
    return tmp_path_factory.mktemp("features")


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_goes_from_recordings_to_a_bundle_that_replays(
    name: str, collection: Path, features: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "features").symlink_to(features)
    recipe = write_recipe(tmp_path, {"name": name, **BASE, **SYSTEMS[name]})
    options = ["--data", collection, "--work", tmp_path / "work", "--out", tmp_path / "bundle", "--workers", 1]
    result = edge_train("build", "--recipe", recipe, *options)
    assert result.exit_code == 0, result.output
    bundle = load_bundle(tmp_path / "bundle")
    assert set(SPECIES) == {label.label for label in bundle.labels}
    assert 0 < bundle.manifest.metrics["map_per_recording"] <= 1
    assert "c-mAP" in (tmp_path / "work" / "run" / "report" / "report.md").read_text(encoding="utf-8")
    with (tmp_path / "work" / "run" / "report" / "lists.csv").open(encoding="utf-8") as file:
        assert {row["rank"] for row in csv.DictReader(file)} == {"1", "2", "3"}
    for species in SPECIES:
        soundfile.write(tmp_path / f"{species}.wav", song(species, 6, seed=99), RATE_HZ)
    replay = ["replay", str(tmp_path), "--bundle", str(tmp_path / "bundle"), "--format", "windows"]
    heard = CliRunner().invoke(edge.cli.main, replay)
    assert heard.exit_code == 0, heard.output
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert {Path(row["file"]).stem for row in rows} == set(SPECIES)
    if name in ("s2", "forest"):  # these have learnt by now
        assert bundle.manifest.metrics["macro_f1_per_recording"] > 0.9


def test_a_sweep_tries_every_pair_and_draws_it(collection: Path, features: Path, tmp_path: Path) -> None:
    assert edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3).exit_code == 0
    recipe = write_recipe(tmp_path, {"name": "s3", **BASE, **SYSTEMS["s3"], "steps": 4, "steps_per_epoch": 2})
    options = ["--corpus", tmp_path / "corpus", "--out", tmp_path / "sweep", "--cache", features, "--workers", 1]
    pairs = ["--optimiser", "adamw", "--optimiser", "sgd", "--rate", 0.01, "--rate", 0.001]
    result = edge_train("sweep", "--recipe", recipe, *options, *pairs)
    assert result.exit_code == 0, result.output
    with (tmp_path / "sweep" / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["optimiser"], float(row["learning_rate"])) for row in rows] == [
        ("adamw", 0.01),
        ("adamw", 0.001),
        ("sgd", 0.01),
        ("sgd", 0.001),
    ]
    assert all(0 <= float(row["last"]) <= float(row["best"]) <= 1 for row in rows)
    assert "| sgd | 0.001 |" in result.output
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    files = [tmp_path / "sweep" / run / "member-0" / "checkpoint.pt" for run in ("sgd-0.01", "adamw-0.01")]
    first, second = (torch.load(file, weights_only=True)["network"]["classify.weight"] for file in files)
    assert not torch.equal(first, second)


def test_a_sweep_of_what_only_embeds_is_one_line(collection: Path, tmp_path: Path) -> None:
    assert edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3).exit_code == 0
    recipe = write_recipe(tmp_path, {"name": "s2", **BASE, **SYSTEMS["s2"]})
    result = edge_train("sweep", "--recipe", recipe, "--corpus", tmp_path / "corpus", "--out", tmp_path / "sweep")
    assert result.exit_code == 1
    assert "only embeds" in result.output
    result = edge_train("sweep", "--recipe", recipe, "--corpus", tmp_path / "corpus", "--out", tmp_path, "--optimiser", "lion")
    assert "'lion' is none of adagrad" in result.output


def test_a_network_without_its_published_weights_is_asked_for_by_name(collection: Path, tmp_path: Path) -> None:
    assert edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3).exit_code == 0
    tiny = {"kind": "resnet18", "options": {"size": {"channels": [8, 8, 8, 8]}}}  # published weights are wanted unless it says no
    recipe = write_recipe(tmp_path, {"name": "resnet", **BASE, "network": tiny, "steps": 2, "steps_per_epoch": 2})
    options = ["--recipe", recipe, "--corpus", tmp_path / "corpus", "--cache", tmp_path / "cache", "--workers", 1]
    refused = edge_train("fit", *options, "--out", tmp_path / "run")
    assert refused.exit_code == 1
    assert refused.output.strip().splitlines()[-1].startswith("error: network resnet18: the published weights fit")
    assert not (tmp_path / "cache").exists(), "it is said before any features are computed"
    trained = edge_train("fit", *options, "--out", tmp_path / "run", "--from-scratch")
    assert trained.exit_code == 0, trained.output
    assert load_recipe(tmp_path / "run" / "recipe.yaml").network.pretrained is False
