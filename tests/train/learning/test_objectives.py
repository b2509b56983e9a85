"""Objectives on a small network: triplets, spherical k-means, auxiliary logits, and stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.errors import SpecError
from tests.train.four_tones import FourTones, as_batches
from train.learning.cross_entropy import CrossEntropyObjective
from train.learning.kmeans import KMeansObjective
from train.learning.stages import check_stages, move_only, stage_at
from train.learning.triplets import SemihardObjective
from train.networks import build_network
from train.networks.spherical import SphericalKMeans
from train.recipe.objectives import CrossEntropySpec, KMeansSpec, SemihardSpec
from train.recipe.sections import StageSpec

CPU = torch.device("cpu")


class Linear(nn.Module):
    """Embedding (B, 4) of unit length and logits of flattened features.

    In training also a second opinion.
    """

    def __init__(self, auxiliary: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(48, 4)
        self.second = nn.Linear(48, 4)
        self.auxiliary = auxiliary

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        last = self.body(x.flatten(1))
        outputs = (nn.functional.normalize(last, dim=1), last)
        return (
            (*outputs, self.second(x.flatten(1))) if self.auxiliary and self.training else outputs
        )


def train(
    network: nn.Module, objective: SemihardObjective | CrossEntropyObjective, steps: int
) -> list[float]:
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)

    def update(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    rng = np.random.default_rng(0)
    return [objective.iterate(network, update, rng)["loss"] for _ in range(steps)]


def test_a_batch_of_triplets_is_so_many_windows_of_species_drawn_at_random() -> None:
    batches = FourTones()
    objective = SemihardObjective(SemihardSpec(batch=12, per_class=4), as_batches(batches), CPU)
    train(Linear(), objective, 1)
    assert batches.asked == (4, 3)


def test_fixed_margin_triplets_draw_species_apart() -> None:
    batches, network = FourTones(), Linear()
    spec = SemihardSpec(batch=32, per_class=8, margin=0.5)
    train(network, SemihardObjective(spec, as_batches(batches), CPU), 60)
    features, classes = batches.per_class(np.random.default_rng(1), 10)
    embedding = network(torch.from_numpy(features))[0].detach()
    nearest = (torch.cdist(embedding, embedding) + 9 * torch.eye(40)).argmin(dim=1)
    assert (classes[nearest.numpy()] == classes).mean() > 0.95


def test_auxiliary_logits_count_by_their_weight_in_training() -> None:
    losses = []
    for auxiliary, weight in ((False, 0.4), (True, 0.0), (True, 1.0)):
        spec = CrossEntropySpec(auxiliary_weight=weight)
        objective = CrossEntropyObjective(spec, as_batches(FourTones()), CPU)
        losses.append(train(Linear(auxiliary), objective, 1)[0])
    assert losses[0] == losses[1] < losses[2]


def test_spherical_kmeans_finds_the_tones() -> None:
    torch.manual_seed(0)
    network = SphericalKMeans(1, 8, bases=12)
    spec = KMeansSpec(batch=20, whitening_windows=60)
    objective = KMeansObjective(spec, as_batches(FourTones()), CPU)
    rng = np.random.default_rng(0)
    losses = [objective.iterate(network, lambda loss: None, rng)["loss"] for _ in range(10)]
    assert max(losses[3:]) < 0.35 < losses[0], (
        "where bases stay what they start as, it stays about 0.4"
    )
    assert network.bases.norm(dim=1).tolist() == pytest.approx([1.0] * 12, abs=1e-5)
    features, classes = FourTones().per_class(np.random.default_rng(2), 10)
    embedding = network(torch.from_numpy(features))[0].detach()
    assert embedding.norm(dim=1).tolist() == pytest.approx([1.0] * 40, abs=1e-5)
    means = torch.stack([embedding[classes == c].mean(dim=0) for c in range(4)])
    assert (torch.cdist(embedding, means).argmin(dim=1).numpy() == classes).all()


STAGES = (
    StageSpec(layers="top", steps=2, batch=16),
    StageSpec(layers="last", steps=3),
    StageSpec(layers="all", steps=1),
)


def test_stages_follow_one_another_and_the_last_one_stays() -> None:
    assert [stage.layers for step in range(8) if (stage := stage_at(STAGES, step))] == [
        "top"
    ] * 2 + ["last"] * 3 + ["all"] * 3
    assert stage_at((), 5) is None


def test_a_stage_moves_its_layers_only() -> None:
    torch.manual_seed(0)
    network = build_network("soundception", {"blocks": [0, 0, 0]}, shape=(3, 76, 76), classes=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)

    def moved(stage: StageSpec) -> set[str]:
        network.load_state_dict(before)
        move_only(network, stage)
        _, *logits = network(torch.randn(2, 3, 76, 76))
        loss = sum(part.square().sum() for part in logits)
        optimiser.zero_grad()
        torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return {
            key.split(".")[0]
            for key, value in network.state_dict().items()
            if not torch.equal(value, before[key])
        }

    assert moved(STAGES[0]) == {"classify", "classify_auxiliary"}
    assert {"classify", "auxiliary", "time_detector", "trunk"} <= moved(STAGES[1])
    assert torch.equal(
        network.state_dict()["trunk.model.features.0.conv.weight"],
        before["trunk.model.features.0.conv.weight"],
    )
    moved(STAGES[2])
    assert not torch.equal(
        network.state_dict()["trunk.model.features.0.conv.weight"],
        before["trunk.model.features.0.conv.weight"],
    )


def test_layers_that_a_network_does_not_have_are_one_line() -> None:
    with pytest.raises(SpecError, match="network compact has no parts that are trained apart"):
        check_stages(build_network("compact", {}, shape=(1, 64, 40), classes=3), "compact", STAGES)
    network = build_network(
        "resnet18", {"size": {"channels": [8, 8, 8, 8]}}, shape=(3, 64, 40), classes=3
    )
    with pytest.raises(
        SpecError, match="layers 'last' is none of top, all that network resnet18 has"
    ):
        check_stages(network, "resnet18", STAGES)
