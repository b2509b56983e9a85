"""One iteration of training for each objective: draw, forward, loss, update. Their state is small
and goes into the checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from train.learning.focal import FocalObjective
from train.learning.losses import (
    DynamicMargin,
    Triplets,
    cross_entropy_with_other,
    mine_semihard,
    triplet_loss,
)
from train.networks.spherical import SphericalKMeans
from train.recipe.sections import (
    CrossEntropySpec,
    FocalSpec,
    KMeansSpec,
    ObjectiveSpec,
    SemihardSpec,
    TripletSpec,
)
from train.windows.batches import Batches

__all__ = [
    "CrossEntropyObjective",
    "FocalObjective",
    "KMeansObjective",
    "Objective",
    "SemihardObjective",
    "TripletObjective",
    "build_objective",
]

Update = Callable[[Tensor], None]  # backward and optimiser step on a loss


class Objective(Protocol):
    """Runs iterations on a network; single-threaded, owns no random state. `batch`: its windows at
    a time, where free.
    """

    batch: int

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        """One mini-batch; returns the numbers to log, `loss` among them."""
        ...

    def finished(self) -> bool:
        """Whether training may end before its last step."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to continue."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        ...


class TripletObjective:
    """Algorithm 1 of Thakur et al. 2019.

    Embed a mini-batch of `per_class` windows a species, mine its semi-hard triplets, present them
    `triplets_per_step` at a time, each presentation a fresh forward pass and an update; then let
    the margin grow when the harvest was poor. Reading taken: one semi-hard negative, drawn at
    random, for each anchor-positive pair (as FaceNet, the paper's reference 35), so a harvest is at
    most species x per_class x (per_class - 1) triplets.
    """

    def __init__(self, spec: TripletSpec, batches: Batches, device: torch.device) -> None:
        self.spec, self.batches, self.device = spec, batches, device
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
        """Embeddings for mining, without dropout and without gradients, in chunks that fit a small
        machine.
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
        # a window in several triplets is computed once
        used, positions = torch.unique(torch.cat(triplets), return_inverse=True)
        anchors, positives, negatives = positions.view(3, -1).to(self.device)
        embeddings = network(inputs[used].to(self.device))[0]
        loss = triplet_loss(
            embeddings, targets[used].to(self.device), (anchors, positives, negatives), margin
        )
        update(loss)
        return float(loss.detach())


class _Stateless:
    """What objectives share that remember nothing between iterations and train to the last step."""

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError("this objective keeps no state between iterations")


class SemihardObjective(_Stateless):
    """One step on all semi-hard triplets of a batch, as many as there are; a batch without any is
    passed over.
    """

    def __init__(self, spec: SemihardSpec, batches: Batches, device: torch.device) -> None:
        self.spec, self.batches, self.device = spec, batches, device
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


class KMeansObjective(_Stateless):
    """Mini-batch spherical k-means of the network's own frames; the loss is 1 minus the mean cosine
    to the nearest base.
    """

    def __init__(self, spec: KMeansSpec, batches: Batches, device: torch.device) -> None:
        self.spec, self.batches, self.device = spec, batches, device
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        assert isinstance(network, SphericalKMeans), "the recipe was checked"
        if not network.whitened:
            windows, _, _ = self.batches.classification(rng, self.spec.whitening_windows, 0)
            network.start(torch.from_numpy(windows).to(self.device), rng)
        features, _, _ = self.batches.classification(rng, self.batch, 0)
        return {"loss": 1 - network.learn(torch.from_numpy(features).to(self.device))}


class CrossEntropyObjective(_Stateless):
    """Cross-entropy on balanced batches; optionally against 'other', and with batch-hard triplets
    beside it.
    """

    def __init__(self, spec: CrossEntropySpec, batches: Batches, device: torch.device) -> None:
        self.spec, self.batches, self.device = spec, batches, device
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, targets, classes = self.batches.classification(
            rng, self.batch, self.spec.outlier_share
        )
        embeddings, logits, *auxiliary = network(torch.from_numpy(features).to(self.device))
        wanted = torch.from_numpy(targets).to(self.device)
        loss = self._loss(logits, wanted) + self.spec.auxiliary_weight * sum(
            self._loss(part, wanted) for part in auxiliary
        )
        if self.spec.triplet_weight:
            loss = loss + self.spec.triplet_weight * batch_hard(
                embeddings, torch.from_numpy(classes), self.spec.triplet_margin
            )
        update(loss)
        return {"loss": float(loss.detach())}

    def _loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        if self.spec.outlier_share > 0:
            return cross_entropy_with_other(logits, wanted)
        return nn.functional.cross_entropy(logits, wanted[:, :-1])


def build_objective(spec: ObjectiveSpec, batches: Batches, device: torch.device) -> Objective:
    """The objective that a recipe names."""
    match spec:
        case TripletSpec():
            return TripletObjective(spec, batches, device)
        case SemihardSpec():
            return SemihardObjective(spec, batches, device)
        case FocalSpec():
            return FocalObjective(spec, batches, device, told=batches.windows.told)
        case KMeansSpec():
            return KMeansObjective(spec, batches, device)
        case CrossEntropySpec():
            return CrossEntropyObjective(spec, batches, device)


def one_negative_each(triplets: Triplets, rng: np.random.Generator) -> Triplets:
    """Keep one random triplet of each anchor-positive pair, in random order."""
    anchors, positives, _ = (t.numpy() for t in triplets)
    order = rng.permutation(len(anchors))
    pairs = np.stack([anchors[order], positives[order]], axis=1)
    _, first = (
        np.unique(pairs, axis=0, return_index=True) if len(pairs) else (None, np.zeros(0, int))
    )
    kept = torch.from_numpy(order[rng.permutation(first)])
    return triplets[0][kept], triplets[1][kept], triplets[2][kept]


def batch_hard(embeddings: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet loss (Hermans et al. 2017) over the pure windows of a batch (classes >=
    0); 0 when no pair exists.
    """
    pure = classes >= 0
    points, labels = embeddings[pure.to(embeddings.device)], classes[pure].to(embeddings.device)
    if len(points) < 2:
        return embeddings.sum() * 0
    same = labels[:, None] == labels[None]
    squared = 2 - 2 * points @ points.T  # unit vectors
    farthest_same = squared.masked_fill(~same, 0).amax(dim=1)
    nearest_other = squared.masked_fill(same, 4).amin(dim=1)
    return nn.functional.relu(farthest_same - nearest_other + margin).mean()


def _chunks(triplets: Triplets, size: int) -> list[Triplets]:
    anchors, positives, negatives = (torch.split(t, size) for t in triplets)
    return [chunk for chunk in zip(anchors, positives, negatives, strict=True) if len(chunk[0])]
