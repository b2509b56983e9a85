"""What the papers' systems need besides `fit`: the sweep of optimisers, and published weights."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tones import write_collection
from train.recipe.load import load_recipe

MEL = {"component": "mel", "level": {"kind": "max"}}
BASE: dict[str, Any] = {
    "frontend": {"n_mels": 40, "channels": [MEL]},
    "objective": {"kind": "cross_entropy", "batch": 8},
    "schedule": "constant",
    "steps": 12,
    "steps_per_epoch": 6,
    "split": {"test_share": 0.25, "folds": 3},
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "s2": {
        "network": {"kind": "cnn2", "options": {"width": 8, "time_pool": 8}},
        "objective": {"kind": "semihard", "batch": 24, "per_class": 8, "margin": 0.5},
        "classifier": {"kind": "knn", "k": 3},
    },
    "s3": {"network": {"kind": "mobilenet", "options": {"width": 0.25, "features": 64}}},
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the systems find what an earlier one has computed of the collection."""
    return tmp_path_factory.mktemp("features")


def test_a_sweep_tries_every_pair_and_draws_it(
    collection: Path, features: Path, tmp_path: Path
) -> None:
    assert_done(edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3))
    recipe = write_recipe(
        tmp_path,
        {
            "name": "s3",
            **BASE,
            **SYSTEMS["s3"],
            "steps": 20,
            "steps_per_epoch": 10,
            "weight_decay": 1,
        },
    )
    places = ["--corpus", tmp_path / "corpus", "--out", tmp_path / "sweep", "--cache", features]
    options = [*places, "--workers", 1]
    rates = ["--rate", 0.01, "--rate", 0.001, "--rate", 1000]
    pairs = ["--optimiser", "adamw", "--optimiser", "sgd", *rates]
    result = edge_train("sweep", "--recipe", recipe, *options, *pairs)
    assert_done(result)
    with (tmp_path / "sweep" / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["optimiser"], float(row["learning_rate"])) for row in rows] == [
        ("adamw", 0.01),
        ("adamw", 0.001),
        ("adamw", 1000),
        ("sgd", 0.01),
        ("sgd", 0.001),
        ("sgd", 1000),
    ]
    learnt = [row for row in rows if float(row["learning_rate"]) < 1]
    assert all(0 <= float(row["last"]) <= float(row["best"]) <= 1 for row in learnt)
    assert [row["last"] for row in rows if row not in learnt] == ["", ""]
    assert "| sgd | 1000 | diverged | diverged |" in result.output
    assert "| sgd | 0.001 |" in result.output
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    files = [
        tmp_path / "sweep" / run / "member-0" / "checkpoint.pt"
        for run in ("sgd-0.01", "adamw-0.01")
    ]
    first, second = (
        torch.load(file, weights_only=True)["network"]["classify.weight"] for file in files
    )
    assert not torch.equal(first, second)


def test_a_sweep_of_what_only_embeds_is_one_line(collection: Path, tmp_path: Path) -> None:
    assert_done(edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3))
    recipe = write_recipe(tmp_path, {"name": "s2", **BASE, **SYSTEMS["s2"]})
    result = edge_train(
        "sweep", "--recipe", recipe, "--corpus", tmp_path / "corpus", "--out", tmp_path / "sweep"
    )
    assert result.exit_code == 1
    assert "only embeds" in result.output
    places = ["--corpus", tmp_path / "corpus", "--out", tmp_path]
    result = edge_train("sweep", "--recipe", recipe, *places, "--optimiser", "lion")
    assert "'lion' is none of adagrad" in result.output


def test_a_network_without_its_published_weights_is_asked_for_by_name(
    collection: Path, tmp_path: Path
) -> None:
    assert_done(edge_train("prepare", collection, "--out", tmp_path / "corpus", "--folds", 3))
    # Published weights are wanted unless the recipe says no.
    tiny = {"kind": "resnet18", "options": {"size": {"channels": [8, 8, 8, 8]}}}
    recipe = write_recipe(
        tmp_path, {"name": "resnet", **BASE, "network": tiny, "steps": 2, "steps_per_epoch": 2}
    )
    places = ["--corpus", tmp_path / "corpus", "--cache", tmp_path / "cache"]
    options = ["--recipe", recipe, *places, "--workers", 1]
    refused = edge_train("fit", *options, "--out", tmp_path / "run")
    assert refused.exit_code == 1
    line = refused.output.strip().splitlines()[-1]
    assert line.startswith("error: network resnet18: the published weights fit")
    assert not (tmp_path / "cache").exists(), "it is said before any features are computed"
    trained = edge_train("fit", *options, "--out", tmp_path / "run", "--from-scratch")
    assert_done(trained)
    assert load_recipe(tmp_path / "run" / "recipe.yaml").network.pretrained is False
