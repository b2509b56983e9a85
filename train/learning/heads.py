"""Classifiers of frozen embeddings that are looked up rather than trained by gradient.

They are part of the exported graph like any other. Their logits are logarithms of votes, so that a
softmax gives the share of votes, and every rejection rule works with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.recipe.classifiers import ElmSpec, ForestSpec, KnnSpec

__all__ = [
    "Forest",
    "Neighbours",
    "extreme_learner",
    "fit_elm",
    "fit_forest",
    "fit_neighbours",
]

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]
# Of distances: where the nearest points are nearer to each other than that, votes are lost.
LEAST_SPREAD = 0.2
FAR = 1e6  # where a point is that is not there
FARTHEST = 60.0  # of distances that rank species without a vote; beyond, exp(-x) is lost
LEAST_SHARE = 1e-3  # of the votes, for a species that no tree votes for


class Neighbours(nn.Module):
    """Embeddings (B, D) -> logits (B, K), the log votes of the `k` nearest points.

    Votes are `equal`, or they fade: the nearer a point, the more of the votes it has, down to none
    at the distance of the first that is not among them (Dudani 1976). So no vote comes or goes at
    once, and two engines that differ in the last digit agree. Each species adds at most a half by
    how near its own nearest point is, exp(-distance) / 2, which ranks the species that got no vote;
    with equal votes, embeddings of any length have it, and the distance is that beyond the nearest.
    """

    points: Tensor
    there: Tensor

    def __init__(self, points: Tensor, there: Tensor, *, k: int, equal: bool = False) -> None:
        """Take the `points` (K, N, D) of each species; `there` (K, N) is 1 where one is, else 0."""
        super().__init__()
        self.equal = equal
        self.k = min(k, int(there.sum()) - 1)
        self.register_buffer("points", points)
        self.register_buffer("there", there)

    def forward(self, embedding: Tensor) -> Tensor:
        species, each, _ = self.points.shape
        # Not by a product of unit vectors, which is all rounding where embeddings hardly differ.
        distance = (embedding[:, None] - self.points.flatten(0, 1)).square().sum(dim=2).sqrt()
        distance = distance + FAR * (1 - self.there.flatten())
        nearest, index = distance.topk(self.k + 1, dim=1, largest=False)
        weight = self._weights(nearest)
        ballots = torch.eye(species, device=embedding.device)[index // each]
        votes = (ballots * weight[:, :, None]).sum(dim=1)
        own = distance.reshape(-1, species, each).amin(dim=2)
        if self.equal:
            own = own - nearest[:, :1]
        return torch.log(votes + 0.5 * torch.exp(-own.clamp(max=FARTHEST)))

    def _weights(self, nearest: Tensor) -> Tensor:
        """Return the votes of the nearest points (B, k + 1) by distance; the last has none."""
        if self.equal:
            return torch.cat([torch.ones_like(nearest[:, 1:]), nearest[:, :1] * 0], dim=1)
        beyond = nearest[:, -1:]
        weight = (beyond - nearest) / (beyond - nearest[:, :1]).clamp(min=LEAST_SPREAD)
        return weight * self.k / weight.sum(dim=1, keepdim=True).clamp(min=1)


class Forest(nn.Module):
    """Embeddings (B, D) -> logits (B, K), the logarithm of the trees' mean shares.

    Trees are tables of nodes, walked side by side: `feature`, `threshold`, `left` and `right` are
    (trees, nodes), `shares` (trees, nodes, K); a leaf leads to itself.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    shares: Tensor
    depth: Tensor

    def __init__(self, tables: dict[str, Tensor]) -> None:
        super().__init__()
        for name in ("feature", "threshold", "left", "right", "shares", "depth"):
            self.register_buffer(name, tables[name])
        self.levels = int(self.depth)

    def forward(self, embedding: Tensor) -> Tensor:
        trees, nodes = self.feature.shape
        start = torch.arange(trees, device=embedding.device) * nodes
        at = start.expand(embedding.shape[0], -1)  # (B, trees), positions in the flattened tables
        for _ in range(self.levels):
            value = embedding.gather(1, self.feature.flatten()[at])
            lower = value <= self.threshold.flatten()[at]
            at = torch.where(lower, self.left.flatten()[at], self.right.flatten()[at]) + start
        return torch.log(self.shares.flatten(0, 1)[at].mean(dim=1) + LEAST_SHARE)


def fit_neighbours(
    embedding: Floats, classes: Classes, *, count: int, spec: KnnSpec, seed: int
) -> Neighbours:
    """Keep embeddings (W, D) of each species, at most its equal share of `spec.points`."""
    rng, share = np.random.default_rng(seed), max(1, spec.points // count)
    kept = [np.sort(rng.permutation(np.flatnonzero(classes == c))[:share]) for c in range(count)]
    points = np.zeros((count, max(map(len, kept)), embedding.shape[1]), np.float32)
    there = np.zeros(points.shape[:2], np.float32)
    for c, own in enumerate(kept):
        points[c, : len(own)] = embedding[own]
        there[c, : len(own)] = 1
    equal = spec.votes == "equal"
    return Neighbours(torch.from_numpy(points), torch.from_numpy(there), k=spec.k, equal=equal)


def fit_forest(
    embedding: Floats, classes: Classes, *, count: int, spec: ForestSpec, seed: int
) -> Forest:
    """Grow the trees with scikit-learn and lay them out as tables."""
    from sklearn.ensemble import RandomForestClassifier  # slow to import

    grown = RandomForestClassifier(
        spec.trees,
        min_samples_leaf=spec.smallest_leaf,
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    ).fit(embedding, classes)
    return Forest(
        _tables([estimator.tree_ for estimator in grown.estimators_], grown.classes_, count)
    )


def extreme_learner(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    """Return the machine: inputs -> hidden sigmoid units -> classes."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Sigmoid(), nn.Linear(hidden, classes))


@torch.no_grad()
def fit_elm(
    embedding: Floats, classes: Classes, *, count: int, spec: ElmSpec, seed: int
) -> nn.Sequential:
    """Draw the hidden units, and fit what is read from them with scikit-learn.

    The logits that it fits are the logarithm of 1 for the species and of `LEAST_SHARE` for others.
    Inputs are brought to mean 0 and deviation 1, which goes into the weights of the hidden units.
    """
    from sklearn.linear_model import Ridge
    from sklearn.utils.class_weight import compute_sample_weight

    rng, width = np.random.default_rng(seed), embedding.shape[1]
    machine = extreme_learner(width, spec.hidden, count)
    drawn = rng.standard_normal((spec.hidden, width)) / np.sqrt(width)
    weight = drawn / np.maximum(embedding.std(axis=0), 1e-6)
    bias = rng.standard_normal(spec.hidden) - weight @ embedding.mean(axis=0)
    hidden: Any = machine[0]
    hidden.weight.copy_(torch.from_numpy(weight))
    hidden.bias.copy_(torch.from_numpy(bias))
    wanted = np.where(np.eye(count, dtype=bool)[classes], 0.0, np.log(LEAST_SHARE))
    read = Ridge(alpha=spec.ridge).fit(
        machine[:2](torch.from_numpy(embedding)).numpy().astype(np.float64),
        wanted,
        sample_weight=compute_sample_weight("balanced", classes),
    )
    last: Any = machine[2]
    last.weight.copy_(torch.from_numpy(np.asarray(read.coef_)))
    last.bias.copy_(torch.from_numpy(np.asarray(read.intercept_)))
    return machine.eval()


def _tables(trees: list[Any], there: Classes, count: int) -> dict[str, Tensor]:
    nodes = max(tree.node_count for tree in trees)
    feature, left, right = np.zeros((3, len(trees), nodes), np.int64)
    threshold = np.zeros((len(trees), nodes), np.float32)
    shares = np.zeros((len(trees), nodes, count), np.float32)
    for i, tree in enumerate(trees):
        n = tree.node_count
        leaf = tree.children_left < 0
        feature[i, :n] = np.where(leaf, 0, tree.feature)
        # A float32 just below the float64 threshold of scikit-learn decides the same for float32
        # embeddings.
        rounded = tree.threshold.astype(np.float32)
        threshold[i, :n] = np.where(
            rounded > tree.threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded
        )
        left[i, :n] = np.where(leaf, np.arange(n), tree.children_left)
        right[i, :n] = np.where(leaf, np.arange(n), tree.children_right)
        value = tree.value[:, 0]
        shares[i, :n, there] = (value / value.sum(axis=1, keepdims=True)).T
    tables = {
        "feature": feature,
        "threshold": threshold,
        "left": left,
        "right": right,
        "shares": shares,
    }
    depth = np.array(max(tree.max_depth for tree in trees), np.int64)
    return {name: torch.from_numpy(table) for name, table in {**tables, "depth": depth}.items()}
