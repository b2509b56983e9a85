"""A network that says the same of every window has not converged: its training ends so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.train.four_tones import FourTones, as_batches
from train.learning.collapse import (
    LEAST_SPREAD,
    PATIENCE,
    STARVED,
    CollapsedError,
    DivergedError,
    SpreadWatch,
    StarvedError,
    hardest_loss,
    spread_of,
)
from train.learning.objective import Objective
from train.learning.triplets import LOOK_EVERY, SemihardObjective, TripletObjective
from train.recipe.objectives import SemihardSpec, TripletSpec

CPU = torch.device("cpu")
WIDEST = TripletSpec(margin=0.6)  # where the margin ends


class Constant(nn.Module):
    """One embedding for every window, which dropout in training hides."""

    def __init__(self, dropout: float = 0.0, value: float = 1.0) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.full((8,), value))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = nn.functional.normalize(self.dropout(self.point.expand(len(x), 8)), dim=1)
        return embedding, embedding


class Apart(nn.Module):
    """The embedding of a species is its own corner: every triplet keeps every margin."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        corner = nn.functional.one_hot(x.mean(dim=3)[:, 0].argmax(dim=1), 8).float()
        return corner, corner


class Scattered(nn.Module):
    """Every window a place of its own, far from all others: no margin reaches the next one."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        points = 1e6 * torch.randn(len(x), 8)
        return points, points


def objective_of(kind: str) -> Objective:
    batches = as_batches(FourTones())
    if kind == "triplet":
        return TripletObjective(WIDEST, batches, CPU)
    return SemihardObjective(SemihardSpec(batch=16, per_class=4), batches, CPU)


def no_update(loss: Tensor) -> None:
    """Leave the network as it is."""


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize(("kind", "batches"), [("triplet", 1), ("semihard", LOOK_EVERY)])
def test_a_constant_network_ends_the_run_and_is_never_finished(
    kind: str, batches: int, dropout: float
) -> None:
    torch.manual_seed(0)
    objective, network = objective_of(kind), Constant(dropout)
    network.train()
    rng = np.random.default_rng(0)
    for _ in range(batches * (PATIENCE - 1)):
        numbers = objective.iterate(network, no_update, rng)
        assert numbers["loss"] > 0.1
        assert numbers["spread"] < 1e-6
        assert not objective.finished()
    with pytest.raises(CollapsedError, match=r"the embedding collapsed: .* lower learning_rate"):
        objective.iterate(network, no_update, rng)


@pytest.mark.parametrize("kind", ["triplet", "semihard"])
def test_the_loss_of_an_empty_batch_is_that_of_its_hardest_triplets(kind: str) -> None:
    collapsed = objective_of(kind).iterate(Constant(), no_update, np.random.default_rng(0))
    assert collapsed["triplets"] == 0
    assert collapsed["loss"] == pytest.approx(0.6 if kind == "triplet" else 1.0)
    apart = objective_of(kind).iterate(Apart(), no_update, np.random.default_rng(0))
    assert (apart["triplets"], apart["loss"]) == (0, 0)


@pytest.mark.parametrize(("kind", "margin"), [("triplet", "0.6"), ("semihard", "1")])
def test_a_training_without_triplets_ends_unless_all_are_apart(kind: str, margin: str) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    starved, resumed = objective_of(kind), objective_of(kind)
    for _ in range(STARVED - 1):
        assert starved.iterate(Scattered(), no_update, rng)["triplets"] == 0
    resumed.restore(starved.state())
    said = rf"margin of {margin} beyond .* set negatives: nearest"
    with pytest.raises(StarvedError, match=said):
        resumed.iterate(Scattered(), no_update, rng)
    done = objective_of(kind)
    for _ in range(STARVED + 1):
        assert done.iterate(Apart(), no_update, rng)["loss"] == 0


def test_the_nearest_negatives_never_run_out() -> None:
    torch.manual_seed(0)
    spec = SemihardSpec(batch=16, per_class=4, negatives="nearest")
    objective = SemihardObjective(spec, as_batches(FourTones()), CPU)
    numbers = objective.iterate(Scattered(), no_update, np.random.default_rng(0))
    assert numbers["triplets"] == 4 * 4 * 3  # each ordered pair of each species


def test_species_apart_by_the_widest_margin_are_finished() -> None:
    objective = objective_of("triplet")
    objective.iterate(Apart(), no_update, np.random.default_rng(0))
    assert objective.finished()


def test_an_embedding_that_is_not_finite_ends_the_run_at_once() -> None:
    with pytest.raises(DivergedError, match="returned NaN or infinity: training diverged"):
        objective_of("triplet").iterate(
            Constant(value=float("nan")), no_update, np.random.default_rng(0)
        )


@pytest.mark.parametrize("kind", ["triplet", "semihard"])
def test_a_resumed_training_remembers_how_long_it_was_narrow(kind: str) -> None:
    first, second = objective_of(kind), objective_of(kind)
    rng = np.random.default_rng(0)
    for _ in range(3):
        first.iterate(Constant(), no_update, rng)
    second.restore(first.state())
    assert second.state() == first.state()


def test_a_checkpoint_from_before_the_spread_was_watched_is_resumed() -> None:
    objective = objective_of("semihard")
    objective.restore({})
    older = objective_of("triplet")
    state = {key: value for key, value in older.state().items() if key != "watch"}
    del state["margin"]["overlapping"]
    older.restore(state)
    assert older.state() == objective_of("triplet").state()


def test_spread_is_the_distance_from_the_mean_and_knows_no_unit() -> None:
    assert spread_of(torch.eye(4)) == pytest.approx(np.sqrt(3) / 2)
    assert spread_of(torch.ones(4, 8)) == 0
    far = torch.ones(4, 8) * 1000 + torch.eye(4, 8)
    assert spread_of(far) < LEAST_SPREAD < spread_of(torch.eye(4, 8) * 1000)
    assert spread_of(torch.eye(4, 8) * 1e-4) < LEAST_SPREAD


def test_only_looks_in_a_row_count() -> None:
    watch = SpreadWatch()
    for _ in range(3):
        for _ in range(PATIENCE - 1):
            watch.look(torch.ones(4, 8))
        watch.look(torch.eye(4, 8))
    assert watch.narrow == 0


def test_the_hardest_loss_is_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    points, classes = torch.randn(9, 4, generator=generator), torch.arange(9) % 3
    squared = torch.cdist(points, points).square()
    of_anchors = [
        max(
            0.0,
            max(float(squared[a, p]) for p in range(9) if classes[p] == classes[a])
            - min(float(squared[a, n]) for n in range(9) if classes[n] != classes[a])
            + 0.4,
        )
        for a in range(9)
    ]
    assert hardest_loss(points, classes, 0.4) == pytest.approx(np.mean(of_anchors), rel=1e-5)
