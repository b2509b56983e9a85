"""Training on a GPU: the recipe's own loop gives the curve that it gives on the CPU."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.gpu.timing import computing_in
from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tiny import TINY
from tests.train.tones import write_collection

STEPS = 40
# Nothing random but what is drawn from the checkpoint's generator, which is the CPU's.
RECIPE = {
    **TINY,
    "name": "same-curve",
    "network": {"kind": "mscnn", "options": {"width": 8, "time_pool": 8, "dropout": 0.0}},
    "frontend": {"n_mels": 40, "channels": [{"component": "mel", "level": {"kind": "max"}}]},
    "steps": STEPS,
    "steps_per_epoch": 4,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    collection = write_collection(tmp_path_factory.mktemp("collection"))
    prepared = tmp_path_factory.mktemp("prepared")
    assert_done(
        edge_train("prepare", collection, "--out", prepared, "--test-share", 0.25, "--folds", 3)
    )
    return prepared


def trained(corpus: Path, folder: Path, device: str) -> list[dict[str, float]]:
    """Train on a device, and return what the history says of each epoch."""
    places = ["--corpus", corpus, "--out", folder / device, "--cache", folder / "cache"]
    folder.mkdir(exist_ok=True)
    recipe = write_recipe(folder, RECIPE)
    assert_done(edge_train("fit", "--recipe", recipe, *places, "--device", device, "--workers", 1))
    with (folder / device / "member-0" / "history.csv").open(encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def assert_same_curve(curve: list[dict[str, float]], other: list[dict[str, float]]) -> None:
    assert [row["step"] for row in curve] == list(range(4, STEPS + 1, 4))
    for ours, theirs in zip(curve, other, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.02)


def test_the_curve_of_a_recipe_is_the_same_each_time(corpus: Path, tmp_path: Path) -> None:
    """What the comparison of two devices rests on."""
    first = trained(corpus, tmp_path, "cpu")
    assert_same_curve(first, trained(corpus, tmp_path / "again", "cpu"))
    assert first[-1]["loss"] < first[0]["loss"]


@pytest.mark.gpu
def test_a_gpu_gives_the_curve_of_the_cpu(corpus: Path, tmp_path: Path) -> None:
    with computing_in("fp32"):
        on_the_gpu = trained(corpus, tmp_path, "cuda")
    assert_same_curve(on_the_gpu, trained(corpus, tmp_path, "cpu"))


@pytest.mark.gpu
def test_an_ensemble_is_trained_on_a_gpu_and_goes_on_after_a_stop(
    corpus: Path, tmp_path: Path
) -> None:
    recipe = {**TINY, "members": 2}
    places = ["--corpus", corpus, "--out", tmp_path / "run", "--cache", tmp_path / "cache"]
    options = ["--recipe", write_recipe(tmp_path, recipe), *places, "--device", "cuda"]
    assert_done(edge_train("fit", *options))
    (tmp_path / "run" / "model.pt").unlink()
    assert_done(edge_train("fit", *options))
    assert (tmp_path / "run" / "model.pt").exists()
