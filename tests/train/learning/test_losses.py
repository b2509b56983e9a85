"""Algorithm 1: the margin schedule, which triplets count as semi-hard, and what the loss is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from train.learning.cross_entropy import batch_hard
from train.learning.losses import (
    DynamicMargin,
    binary_focal,
    cross_entropy_with_other,
    mine_nearest,
    mine_semihard,
    triplet_loss,
)
from train.learning.triplets import one_negative_each


def random_embeddings(count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    points = torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=1)
    return points, torch.arange(count) % classes


def test_margin_grows_after_three_poor_harvests_in_a_row() -> None:
    margin = DynamicMargin()
    assert [margin.update(n) for n in (14, 14, 15, 14, 14)] == [0.2] * 5, (
        "a rich harvest starts the count again"
    )
    assert margin.update(0) == pytest.approx(0.25)
    assert [margin.update(0) for _ in range(3)] == pytest.approx([0.25, 0.25, 0.3])


@pytest.mark.parametrize("overlapping", [True, False])
def test_margin_stops_at_its_maximum(overlapping: bool) -> None:
    margin = DynamicMargin(overlapping=overlapping)
    for _ in range(100):
        margin.update(0)
    assert margin.margin == pytest.approx(0.6)
    assert margin.at_maximum


def algorithm_1(counts: list[int]) -> list[float]:
    """Return the margin after each mini-batch, by lines 1 to 17 of Algorithm 1."""
    alpha, count_list, margins = 0.2, [], []
    for t in counts:
        count_list.append(t)
        if len(count_list) >= 3 and alpha < 0.6 - 1e-9 and max(count_list[-3:]) < 15:
            alpha += 0.05
        margins.append(alpha)
    return margins


def test_the_margin_of_overlapping_runs_is_algorithm_1_s() -> None:
    poor = [0] * 10
    assert algorithm_1(poor)[-1] == pytest.approx(0.6), "as the paper's algorithm, read literally"
    for counts in (poor, [14, 3, 15, 0, 0, 0, 0, 20, 14, 14, 14, 14, 99, *[0] * 12]):
        margin = DynamicMargin(overlapping=True)
        assert [margin.update(n) for n in counts] == pytest.approx(algorithm_1(counts))
    apart = DynamicMargin()
    assert [apart.update(0) for _ in range(24)].index(0.6) == 23


@pytest.mark.parametrize("squared_distance", [True, False])
@pytest.mark.parametrize("alpha", [0.2, 0.6])
def test_mined_triplets_are_exactly_the_semihard_ones(alpha: float, squared_distance: bool) -> None:
    points, classes = random_embeddings(12, 3)
    distance = torch.cdist(points, points) ** (2 if squared_distance else 1)
    expected = {
        (a, p, n)
        for a in range(12)
        for p in range(12)
        for n in range(12)
        if a != p
        and classes[a] == classes[p] != classes[n]
        and distance[a, p] < distance[a, n] < distance[a, p] + alpha
    }
    mined = {
        (int(a), int(p), int(n))
        for a, p, n in zip(
            *mine_semihard(points, classes, alpha, squared=squared_distance), strict=True
        )
    }
    assert expected
    assert mined == expected


@pytest.mark.parametrize("scale", [0.01, 1, 1000])
def test_every_pair_has_a_nearest_triplet_at_any_scale(scale: float) -> None:
    points, classes = random_embeddings(12, 3)
    points[classes == 0] *= 9  # so far apart that no negative is farther than some positives
    points *= scale
    apart = torch.cdist(points.double(), points.double())
    expected, without_farther = set(), 0
    pairs = itertools.permutations(range(12), 2)
    for a, p in ((a, p) for a, p in pairs if classes[a] == classes[p]):
        others = [n for n in range(12) if classes[n] != classes[a]]
        farther = [n for n in others if apart[a, n] > apart[a, p]]
        without_farther += not farther
        by_distance = sorted(farther or others, key=lambda n: float(apart[a, n]))
        expected.add((a, p, by_distance[0 if farther else -1]))
    assert without_farther
    assert set(zip(*(t.tolist() for t in mine_nearest(points, classes)), strict=True)) == expected


def test_a_batch_of_one_class_has_no_nearest_triplet() -> None:
    points, _ = random_embeddings(4, 2)
    assert [len(t) for t in mine_nearest(points, torch.zeros(4, dtype=torch.int64))] == [0, 0, 0]


def test_triplet_loss_is_equation_2_over_its_triplets() -> None:
    points, classes = random_embeddings(12, 3)
    triplets = mine_semihard(points, classes, 0.4)
    a, p, n = (points[i] for i in triplets)
    expected = ((a - p).square().sum(1) - (a - n).square().sum(1) + 0.4).clamp(min=0).mean()
    assert float(triplet_loss(points, classes, triplets, 0.4)) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_one_negative_is_kept_of_each_pair() -> None:
    points, classes = random_embeddings(30, 3)
    mined = mine_semihard(points, classes, 0.5)
    kept = one_negative_each(mined, np.random.default_rng(0))
    pairs = list(zip(kept[0].tolist(), kept[1].tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(zip(mined[0].tolist(), mined[1].tolist(), strict=True))
    assert set(zip(*(t.tolist() for t in kept), strict=True)) <= set(
        zip(*(t.tolist() for t in mined), strict=True)
    )


def test_no_triplets_give_no_triplets() -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    kept = one_negative_each((empty, empty, empty), np.random.default_rng(0))
    assert [len(t) for t in kept] == [0, 0, 0]


def test_cross_entropy_with_other_is_cross_entropy_with_a_zero_column() -> None:
    logits = torch.tensor([[2.0, -1.0], [-3.0, -4.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    expected = torch.nn.functional.cross_entropy(
        torch.cat([logits, torch.zeros(2, 1)], 1), torch.tensor([0, 2])
    )
    assert float(cross_entropy_with_other(logits, targets)) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_batch_hard_takes_the_farthest_positive_and_the_nearest_negative() -> None:
    points = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]), dim=1
    )
    classes = torch.tensor([0, 0, 1, -1])
    squared = torch.cdist(points, points).square()
    pure = [
        float(squared[0, 1] - squared[0, 2] + 0.3),
        float(squared[1, 0] - squared[1, 2] + 0.3),
        float(0 - squared[2, 1] + 0.3),
    ]
    expected = np.mean([max(0.0, value) for value in pure])
    assert float(batch_hard(points, classes, 0.3)) == pytest.approx(expected, abs=1e-6)


def test_focal_loss_is_its_definition_and_cross_entropy_at_gamma_0() -> None:
    logits, targets = (
        torch.tensor([[2.0, -1.0], [0.5, 3.0]]),
        torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
    )
    # probability of the truth
    p = torch.where(targets > 0, torch.sigmoid(logits), 1 - torch.sigmoid(logits))
    expected = (-((1 - p) ** 2) * p.log()).sum(1).mean()
    assert float(binary_focal(logits, targets, 2.0)) == pytest.approx(float(expected), abs=1e-6)
    assert float(binary_focal(logits, targets, 0.0)) == pytest.approx(
        float(-p.log().sum(1).mean()), abs=1e-6
    )
