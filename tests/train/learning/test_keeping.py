"""Which epoch's weights a run uses, and how a training that cannot succeed ends."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edge.errors import SpecError
from tests.train.command_line import assert_done, edge_train, prepared_tones, write_recipe
from tests.train.tiny import TINY, TRIPLET
from train.learning.checkpoint import load_torch
from train.learning.keeping import KeptWeights
from train.recipe.load import parse_recipe

LEAST = {"keep": "least_validation_loss"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of tones; the features are kept beside it."""
    return prepared_tones(tmp_path_factory.mktemp("prepared"))


def fit(prepared: Path, recipe: Path, out: Path, *more: Any) -> Any:
    options = ("--corpus", prepared / "corpus", "--cache", prepared / "cache", "--workers", 1)
    return edge_train("fit", "--recipe", recipe, "--out", out, *options, *more)


def test_the_weights_of_least_validation_loss_are_used(prepared: Path, tmp_path: Path) -> None:
    # So high a rate makes the loss rise and fall.
    recipe = write_recipe(
        tmp_path, {**TINY, **LEAST, "learning_rate": 0.05, "steps": 48, "steps_per_epoch": 8}
    )
    assert_done(fit(prepared, recipe, tmp_path / "run"))
    member = tmp_path / "run" / "member-0"
    with (member / "history.csv").open(encoding="utf-8") as file:
        losses = {int(row["step"]): float(row["validation_loss"]) for row in csv.DictReader(file)}
    best = min(losses, key=lambda step: losses[step])
    assert best != max(losses), "the last epoch is not the best, or this shows nothing"
    kept = load_torch(member / "checkpoint.pt")["kept"]
    assert (kept["step"], kept["loss"]) == (best, pytest.approx(losses[best]))
    weights = load_torch(tmp_path / "run" / "model.pt")
    assert all(torch.equal(weights[key], kept["network"][key]) for key in kept["network"])


def test_a_training_that_may_take_no_longer_uses_what_it_has_learnt(
    prepared: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, {**TINY, "steps": 6, "steps_per_epoch": 2})
    weights, steps = [], []
    for run, limit in (("cut", ("--minutes", 0)), ("cut", ()), ("whole", ())):
        out = tmp_path / run
        assert_done(fit(prepared, recipe, out, *limit))
        with (out / "member-0" / "history.csv").open(encoding="utf-8") as file:
            steps.append([int(row["step"]) for row in csv.DictReader(file)])
        weights.append(load_torch(out / "model.pt"))
    assert steps == [[2], [2, 4, 6], [2, 4, 6]]
    short, gone_on, whole = weights
    assert all(torch.equal(gone_on[key], whole[key]) for key in whole)
    assert any(not torch.equal(short[key], whole[key]) for key in whole)


def test_the_least_finite_loss_is_kept_and_its_weights_are_a_copy() -> None:
    network, kept = nn.Linear(1, 1), KeptWeights("least_validation_loss")
    for step, loss in enumerate((float("nan"), 0.5, 0.2, 0.4, float("inf"))):
        nn.init.constant_(network.weight, step)
        kept.look(network, {"validation_loss": loss}, step)
    assert (kept.state["step"], kept.state["loss"]) == (2, 0.2)
    kept.give(network)
    assert network.weight.item() == 2


def test_the_last_epoch_is_kept_without_a_word() -> None:
    network, kept = nn.Linear(1, 1), KeptWeights("last")
    before = network.weight.item()
    kept.look(network, {}, 3)
    kept.give(network)
    assert kept.state == {}
    assert network.weight.item() == before


def test_another_word_than_those_there_are_is_refused() -> None:
    with pytest.raises(SpecError, match=r"r: keep: .*least_validation_loss"):
        parse_recipe({**TINY, "keep": "best"}, where="r")


@pytest.mark.parametrize("members", [1, 2])
def test_a_training_that_diverges_is_one_line_from_any_process(
    members: int, prepared: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, {**TRIPLET, "learning_rate": 1e30, "members": members})
    result = fit(prepared, recipe, tmp_path / "run")
    assert result.exit_code == 1
    said = [line for line in result.output.splitlines() if "error" in line]
    assert said == [
        "error: the network returned NaN or infinity: training diverged; lower learning_rate, and "
        "train in another run folder"
    ]
    assert not (tmp_path / "run" / "model.pt").exists()
