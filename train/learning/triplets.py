"""Objectives that pull windows of one species together and push others away: triplet losses."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.learning.accuracy import top1_of_neighbours
from train.learning.collapse import SpreadWatch, Starved, hardest_loss
from train.learning.losses import (
    DynamicMargin,
    Triplets,
    mine_nearest,
    mine_semihard,
    triplet_loss,
)
from train.learning.objective import Update
from train.recipe.objectives import SemihardSpec, TripletSpec
from train.windows.batches import Batches

__all__ = ["SemihardObjective", "TripletObjective", "WindowsByClass", "one_negative_each"]

LOOK_EVERY = 10  # batches


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
            overlapping=spec.margin_rule == "algorithm",
        )
        self.watch = SpreadWatch()
        self._starved = Starved()
        self._recent_loss = float("inf")

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, classes = self.batches.per_class(rng, self.spec.per_class)
        inputs, targets = torch.from_numpy(features), torch.from_numpy(classes)
        embeddings = _embed(network, inputs, self.device)
        spread = self.watch.look(embeddings)
        margin = self.margin.margin
        squared = self.spec.mining_distance == "squared_euclidean"
        semihard = mine_semihard(embeddings, targets, margin, squared=squared)
        mined = one_negative_each(semihard, rng)
        raised = self.margin.update(len(mined[0]))
        enforced = raised if self.spec.margin_rule == "algorithm" else margin
        losses = [
            self._present(network, update, inputs, targets, chunk, enforced)
            for chunk in _chunks(mined, self.spec.triplets_per_step)
        ]
        # No semi-hard triplet is left where all keep the margin, and where none can be told apart.
        left = hardest_loss(embeddings, targets, margin) if not losses else float(np.mean(losses))
        self._starved.look(len(mined[0]), left, margin)
        self._recent_loss = left
        return {
            "loss": left,
            "margin": margin,
            "triplets": float(len(mined[0])),
            "spread": spread,
            **top1_of_neighbours(embeddings, targets),
        }

    def finished(self) -> bool:
        return self.margin.at_maximum and self._recent_loss < self.spec.converged_loss

    def state(self) -> dict[str, Any]:
        return {
            "margin": dataclasses.asdict(self.margin),
            "recent_loss": self._recent_loss,
            "watch": dataclasses.asdict(self.watch),
            "starved": self._starved.batches,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.margin = DynamicMargin(**state["margin"])
        self._recent_loss = state["recent_loss"]
        # A checkpoint from before they were watched has none.
        self.watch = SpreadWatch(**state.get("watch", {}))
        self._starved = Starved(batches=state.get("starved", 0))

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


class SemihardObjective:
    """One update on all semi-hard triplets of a batch; a batch without any moves nothing.

    Of such a batch the loss is that of the hardest triplets: it is no success. Every `LOOK_EVERY`
    batches are embedded without dropout, which hides a collapse, to watch their spread.
    """

    def __init__(self, spec: SemihardSpec, batches: Batches, device: torch.device) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
        self.batch = spec.batch
        self.watch = SpreadWatch()
        self._drawn = 0
        self._spread = 0.0
        self._starved = Starved()

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, classes = self.batches.per_class(
            rng, self.spec.per_class, max(2, self.batch // self.spec.per_class)
        )
        inputs, margin = torch.from_numpy(features), self.spec.margin
        if self._drawn % LOOK_EVERY == 0:
            self._spread = self.watch.look(_embed(network, inputs, self.device))
        self._drawn += 1
        embeddings = network(inputs.to(self.device))[0]
        targets = torch.from_numpy(classes).to(self.device)
        mined = self._mine(embeddings.detach(), targets)
        if len(mined[0]):
            loss = triplet_loss(embeddings, targets, mined, margin)
            update(loss)
            left = float(loss.detach())
        else:
            left = hardest_loss(embeddings, targets, margin)
        self._starved.look(len(mined[0]), left, margin)
        numbers = {"loss": left, "triplets": float(len(mined[0])), "spread": self._spread}
        return {**numbers, **top1_of_neighbours(embeddings, targets)}

    def _mine(self, embeddings: Tensor, targets: Tensor) -> Triplets:
        if self.spec.negatives == "nearest":
            return mine_nearest(embeddings, targets)
        return mine_semihard(embeddings, targets, self.spec.margin)

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        watch = dataclasses.asdict(self.watch)
        return {
            "watch": watch,
            "drawn": self._drawn,
            "spread": self._spread,
            "starved": self._starved.batches,
        }

    def restore(self, state: dict[str, Any]) -> None:
        # A checkpoint from before the spread was watched has no state.
        self.watch = SpreadWatch(**state.get("watch", {}))
        self._drawn, self._spread = state.get("drawn", 0), state.get("spread", 0.0)
        self._starved = Starved(batches=state.get("starved", 0))


def _embed(network: nn.Module, inputs: Tensor, device: torch.device) -> Tensor:
    """Return embeddings for mining, without dropout and gradients.

    They are computed in chunks that fit into the memory of a small machine.
    """
    network.eval()
    with torch.no_grad():
        parts = [network(chunk.to(device))[0].cpu() for chunk in torch.split(inputs, 64)]
    network.train()
    return torch.cat(parts)


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
