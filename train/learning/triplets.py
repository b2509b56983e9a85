"""Objectives that pull windows of one species together and push others away: triplet losses."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.learning.losses import DynamicMargin, Triplets, mine_semihard, triplet_loss
from train.learning.objective import Stateless, Update
from train.recipe.objectives import SemihardSpec, TripletSpec
from train.windows.batches import Batches

__all__ = ["SemihardObjective", "TripletObjective", "WindowsByClass", "one_negative_each"]


class WindowsByClass(Protocol):
    """Where mini-batches come from: windows, or what another network says of them."""

    def per_class(
        self, rng: np.random.Generator, per_class: int, species: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw `per_class` rows of every class, or of so many of them, with their classes."""
        ...


class TripletObjective:
    """Algorithm 1 of Thakur et al. 2019.

    Embed a mini-batch of `per_class` windows a species, mine its semi-hard triplets, present them
    `triplets_per_step` at a time, each presentation a fresh forward pass and an update; then let
    the margin grow when few were mined. Reading taken: one semi-hard negative, drawn at random, for
    each anchor-positive pair (as FaceNet, the paper's reference 35), so that at most species x
    per_class x (per_class - 1) triplets are mined.
    """

    def __init__(self, spec: TripletSpec, batches: WindowsByClass, device: torch.device) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
        self.batch = spec.triplets_per_step
        self.margin = DynamicMargin(
            margin=spec.margin,
            step=spec.margin_step,
            maximum=spec.margin_maximum,
            scarce=spec.scarce,
            patience=spec.patience,
        )
        self._recent_loss = float("inf")

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, classes = self.batches.per_class(rng, self.spec.per_class)
        inputs, targets = torch.from_numpy(features), torch.from_numpy(classes)
        margin = self.margin.margin
        mined = one_negative_each(mine_semihard(self._embed(network, inputs), targets, margin), rng)
        losses = [
            self._present(network, update, inputs, targets, chunk, margin)
            for chunk in _chunks(mined, self.spec.triplets_per_step)
        ]
        self._recent_loss = float(np.mean(losses)) if losses else 0.0
        self.margin.update(len(mined[0]))
        return {"loss": self._recent_loss, "margin": margin, "triplets": float(len(mined[0]))}

    def finished(self) -> bool:
        return self.margin.at_maximum and self._recent_loss < self.spec.converged_loss

    def state(self) -> dict[str, Any]:
        return {"margin": dataclasses.asdict(self.margin), "recent_loss": self._recent_loss}

    def restore(self, state: dict[str, Any]) -> None:
        self.margin = DynamicMargin(**state["margin"])
        self._recent_loss = state["recent_loss"]

    def _embed(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Return embeddings for mining, without dropout and gradients.

        They are computed in chunks that fit into the memory of a small machine.
        """
        network.eval()
        with torch.no_grad():
            parts = [network(chunk.to(self.device))[0].cpu() for chunk in torch.split(inputs, 64)]
        network.train()
        return torch.cat(parts)

    def _present(
        self,
        network: nn.Module,
        update: Update,
        inputs: Tensor,
        targets: Tensor,
        triplets: Triplets,
        margin: float,
    ) -> float:
        # A window in several triplets is computed once.
        used, positions = torch.unique(torch.cat(triplets), return_inverse=True)
        anchors, positives, negatives = positions.view(3, -1).to(self.device)
        embeddings = network(inputs[used].to(self.device))[0]
        loss = triplet_loss(
            embeddings, targets[used].to(self.device), (anchors, positives, negatives), margin
        )
        update(loss)
        return float(loss.detach())


class SemihardObjective(Stateless):
    """One update on all semi-hard triplets of a batch; a batch without any is passed over."""

    def __init__(self, spec: SemihardSpec, batches: Batches, device: torch.device) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, classes = self.batches.per_class(
            rng, self.spec.per_class, max(2, self.batch // self.spec.per_class)
        )
        embeddings = network(torch.from_numpy(features).to(self.device))[0]
        targets = torch.from_numpy(classes).to(self.device)
        mined = mine_semihard(embeddings.detach(), targets, self.spec.margin)
        if not len(mined[0]):
            return {"loss": 0.0, "triplets": 0.0}
        loss = triplet_loss(embeddings, targets, mined, self.spec.margin)
        update(loss)
        return {"loss": float(loss.detach()), "triplets": float(len(mined[0]))}


def one_negative_each(triplets: Triplets, rng: np.random.Generator) -> Triplets:
    """Keep one random triplet of each anchor-positive pair, in random order."""
    anchors, positives, _ = (t.numpy() for t in triplets)
    order = rng.permutation(len(anchors))
    pairs = np.stack([anchors[order], positives[order]], axis=1)
    first = np.unique(pairs, axis=0, return_index=True)[1] if len(pairs) else np.zeros(0, int)
    kept = torch.from_numpy(order[rng.permutation(first)])
    return triplets[0][kept], triplets[1][kept], triplets[2][kept]


def _chunks(triplets: Triplets, size: int) -> list[Triplets]:
    anchors, positives, negatives = (torch.split(t, size) for t in triplets)
    return [chunk for chunk in zip(anchors, positives, negatives, strict=True) if len(chunk[0])]
