"""A top of system S1: a metric embedding by dynamic triplet loss, and an MLP on it.

Source: Thakur et al. 2019, as `train.learning.triplets`; here what is embedded is what the trunk
says of a window. It needs PyTorch.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.bundle.top import Layer, Top
from train.adapting.fitting import Floats, Ints
from train.adapting.hidden import fit_hidden
from train.learning.collapse import CollapsedError
from train.learning.triplets import TripletObjective
from train.recipe.objectives import TripletSpec

__all__ = ["fit_triplet"]

DIMENSIONS = 128
ROUNDS = 40  # mini-batches that are mined; each gives many updates
RATE = 1e-3


def fit_triplet(
    blank: Top, embedding: Floats, logits: Floats, species: Ints, *, seed: int = 0
) -> Top:
    """Return `blank` with a metric embedding and a hidden layer on it, fitted to W windows."""
    unit, _ = blank.parts(embedding, logits)
    known = species >= 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices so small are slower by several
    try:
        metric = _metric(unit[known], species[known], seed=seed)
    finally:
        torch.set_num_threads(threads)
    above = dataclasses.replace(blank, metric=metric)
    return fit_hidden(above, embedding, logits, species, seed=seed)


def _metric(unit: Floats, species: Ints, *, seed: int) -> Layer:
    """Return the affine map whose images at length 1 are near for windows of one label."""
    torch.manual_seed(seed)
    network = _Embedder(unit.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)

    def update(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    rng = np.random.default_rng(seed)
    objective = TripletObjective(TripletSpec(), _Rows(unit, species), torch.device("cpu"))
    network.train()
    # One map of fixed embeddings narrows only where the recordings themselves sound alike; held-out
    # recordings say what it is worth, beside the other kinds of head.
    with suppress(CollapsedError):
        for _ in range(ROUNDS):
            objective.iterate(network, update, rng)
            if objective.finished():
                break
    linear = network.linear
    return Layer.rounded(linear.weight.detach().numpy().T, linear.bias.detach().numpy())


class _Embedder(nn.Module):
    """Rows (B, D) -> an embedding (B, 128) at length 1."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimensions, DIMENSIONS)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        embedding = functional.normalize(self.linear(rows))
        return embedding, embedding


class _Rows:
    """Windows as the objective draws them: some of each label at a time."""

    def __init__(self, unit: Floats, species: Ints) -> None:
        self._unit, self._species = unit, species
        self._rows = [np.flatnonzero(species == k) for k in np.unique(species)]

    def per_class(
        self, rng: np.random.Generator, per_class: int, species: int | None = None
    ) -> tuple[Floats, Ints]:
        """Draw `per_class` windows of every label, again and again where it has fewer."""
        drawn = [rng.choice(own, per_class, replace=len(own) < per_class) for own in self._rows]
        rows = np.concatenate(drawn)
        return self._unit[rows], self._species[rows]
