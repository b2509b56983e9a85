"""Learning curves: loss and accuracy of training and validation, and a training that ends early."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import torch
from torch import nn

from edge.errors import SpecError
from tests.train.command_line import assert_done, edge_train, prepared_tones, write_recipe
from tests.train.tiny import TINY, TRIPLET
from train.learning.accuracy import top1_of_logits, top1_of_neighbours
from train.learning.checkpoint import read_history, write_history
from train.learning.curves import CURVES, draw_curves, draw_triplets, epochs_since_the_best
from train.learning.optimisers import learning_rate, optimiser_of
from train.recipe.load import parse_recipe

SHORT = {"steps": 4, "steps_per_epoch": 2}
SEMIHARD = {
    **TRIPLET,
    **SHORT,
    "name": "semihard",
    "network": {"kind": "cnn2", "options": {"width": 8, "time_pool": 8}},
    "objective": {"kind": "semihard", "batch": 12, "per_class": 4, "margin": 0.5},
    "optimiser": "ranger",
}
KMEANS = {
    **TRIPLET,
    **SHORT,
    "name": "kmeans",
    "network": {"kind": "spherical_kmeans", "options": {"bases": 24}},
    "objective": {"kind": "spherical_kmeans", "batch": 8, "whitening_windows": 24},
}
FOCAL = {**TINY, **SHORT, "name": "focal", "objective": {"kind": "focal", "batch": 8}}
KINDS: list[dict[str, Any]] = [{**TINY, **SHORT}, TRIPLET, SEMIHARD, KMEANS, FOCAL]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_tones(tmp_path_factory.mktemp("prepared"))


def fit(prepared: Path, recipe: Path, out: Path) -> Path:
    options = ("--corpus", prepared / "corpus", "--cache", prepared / "cache", "--workers", 1)
    assert_done(edge_train("fit", "--recipe", recipe, "--out", out, *options))
    return out / "member-0"


def history(member: Path) -> list[dict[str, str]]:
    with (member / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("values", KINDS, ids=lambda values: values["name"])
def test_every_kind_of_run_has_its_curves(
    values: dict[str, Any], prepared: Path, tmp_path: Path
) -> None:
    recipe = {**values, "keep": "least_validation_loss", "left_out_share": 0}
    member = fit(prepared, write_recipe(tmp_path, recipe), tmp_path / "run")
    rows = history(member)
    assert len(rows) == values["steps"] // values["steps_per_epoch"]
    for row in rows:
        assert all(float(row[key]) >= 0 for key in ("loss", "validation_loss")), row
        assert all(0 <= float(row[key]) <= 1 for key in ("top1", "validation_top1")), row
    assert (member / CURVES).read_bytes().startswith(b"\x89PNG")
    kept = torch.load(member / "checkpoint.pt", weights_only=True)["kept"]
    assert kept["loss"] == min(float(row["validation_loss"]) for row in rows)


def test_a_training_that_gets_no_better_ends_and_is_not_taken_up_again(
    prepared: Path, tmp_path: Path
) -> None:
    # At a rate of 0 only the statistics of the normalisation move.
    values = {**TINY, "optimiser": "sgd", "learning_rate": 1e-30, "steps": 40, "steps_per_epoch": 4}
    recipe = write_recipe(
        tmp_path, {**values, "patience": 2, "objective": FOCAL["objective"], "left_out_share": 0}
    )
    member = fit(prepared, recipe, tmp_path / "run")
    losses = [float(row["validation_loss"]) for row in history(member)]
    assert epochs_since_the_best([{"validation_loss": loss} for loss in losses]) == 2
    assert len(losses) < 10
    before = (member / "checkpoint.pt").read_bytes()
    assert fit(prepared, recipe, tmp_path / "run") == member
    assert (member / "checkpoint.pt").read_bytes() == before


def test_epochs_are_counted_from_the_least_finite_loss() -> None:
    losses = [float("nan"), 0.5, 0.2, 0.4, float("inf")]
    assert epochs_since_the_best([{"validation_loss": loss} for loss in losses]) == 2
    assert epochs_since_the_best([{"loss": 1.0}]) == 0


def test_triplets_are_drawn_where_there_are_any(tmp_path: Path) -> None:
    plain: list[dict[str, float]] = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}]
    fixed = [{**row, "triplets": 9.0} for row in plain]
    dynamic = [{**row, "margin": 0.2} for row in fixed]
    assert not draw_triplets({"plain": plain}, tmp_path / "triplets.png")
    assert not (tmp_path / "triplets.png").exists()
    pictures, widths = [], []
    for name, history in (("plain", plain), ("fixed", fixed), ("dynamic", dynamic)):
        folder = tmp_path / name
        folder.mkdir()
        draw_curves(history, folder)
        pictures.append((folder / CURVES).read_bytes())
        widths.append(matplotlib.image.imread(folder / CURVES).shape[1])
    assert widths == [1080, 1620, 1620]
    assert pictures[1] != pictures[2], "the margin is in it"
    histories = {"plain": plain, "fixed": fixed, "dynamic": dynamic}
    assert draw_triplets(histories, tmp_path / "triplets.png")
    assert matplotlib.image.imread(tmp_path / "triplets.png").shape[0] == 2 * 360


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"step": 1.0, "loss": 0.5}, {"step": 2.0, "loss": 0.4, "triplets": 3.0}]
    write_history(tmp_path / "history.csv", rows)
    assert read_history(tmp_path / "history.csv") == rows


def test_accuracy_counts_what_was_asked() -> None:
    shares = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0.4, 0.6, 0], [0.7, 0.3, 0]])
    logits = torch.tensor([[2.0, 1, 0], [9, 0, 0], [0, 3, 1], [0, 1, 0]])
    assert top1_of_logits(logits, shares) == {"top1": pytest.approx(2 / 3)}
    assert top1_of_logits(logits, shares * 0) == {}


def test_neighbours_count_where_there_can_be_one() -> None:
    points = torch.tensor([[0.0], [0.1], [0.2], [5.0], [0.05]])
    classes = torch.tensor([0, 0, 1, 2, -1])
    assert top1_of_neighbours(points, classes) == {"top1": 1.0}
    assert top1_of_neighbours(points, torch.tensor([0, 1, 2, 3, -1])) == {}


def test_ranger_looks_ahead_and_resumes_as_it_was() -> None:
    recipe = parse_recipe({**TINY, "optimiser": "ranger"}, where="r")
    target, start = torch.tensor([[1.0, -2.0]]), torch.zeros(1, 2)

    def train(network: nn.Linear, optimiser: Any, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            torch.autograd.backward((network.weight - target).square().sum())
            optimiser.step()

    def new() -> tuple[nn.Linear, Any]:
        network = nn.Linear(2, 1, bias=False)
        network.weight.data.copy_(start)
        return network, optimiser_of(recipe, network)

    (whole, one), (first, two), (second, three) = new(), new(), new()
    train(whole, one, 20)
    train(first, two, 9)  # between two looks
    second.load_state_dict(first.state_dict())
    three.load_state_dict(two.state_dict())
    train(second, three, 11)
    assert torch.equal(whole.weight, second.weight)
    assert not torch.equal(whole.weight, start)


def test_a_cosine_without_warm_up_begins_with_all_of_the_rate() -> None:
    cosine = {**TINY, "schedule": "cosine", "steps": 1000}
    cold, warmed = (
        parse_recipe({**cosine, **change}, where="r") for change in ({"warm_up_steps": 0}, {})
    )
    assert learning_rate(cold, 1.0, step=0) == 1
    assert learning_rate(warmed, 1.0, step=0) == pytest.approx(1 / 60)
    assert learning_rate(cold, 1.0, step=500) == learning_rate(warmed, 1.0, step=500)


@pytest.mark.parametrize("key", ["patience", "warm_up_steps"])
def test_fewer_than_none_is_one_line(key: str) -> None:
    with pytest.raises(SpecError, match=f"r: {key}: must be at least 0, not -1"):
        parse_recipe({**TINY, key: -1}, where="r")
