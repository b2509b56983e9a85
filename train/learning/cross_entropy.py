"""The objective of networks with logits: cross-entropy, with batch-hard triplets beside it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from train.learning.accuracy import top1_of_logits
from train.learning.losses import cross_entropy_with_other
from train.learning.objective import Stateless, Update
from train.recipe.objectives import CrossEntropySpec
from train.windows.batches import Batches

__all__ = ["CrossEntropyObjective", "batch_hard"]


class CrossEntropyObjective(Stateless):
    """Cross-entropy on balanced batches.

    The recipe may ask for an 'other' to hold against, and for batch-hard triplets beside it.
    """

    def __init__(self, spec: CrossEntropySpec, batches: Batches, device: torch.device) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
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
        return {"loss": float(loss.detach()), **top1_of_logits(logits, wanted[:, :-1])}

    def _loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        if self.spec.outlier_share > 0:
            return cross_entropy_with_other(logits, wanted)
        return nn.functional.cross_entropy(logits, wanted[:, :-1])


def batch_hard(embeddings: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Return the batch-hard triplet loss (Hermans et al. 2017) of unit embeddings (B, D).

    Only pure windows count, those whose class (B,) is 0 or more; the loss is 0 without any pair.
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
