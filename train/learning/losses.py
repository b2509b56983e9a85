"""Losses: dynamic triplets, cross-entropy against an implicit 'other', and focal loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from pytorch_metric_learning.utils import loss_and_miner_utils
from torch import Tensor
from torch.nn import functional

__all__ = [
    "DynamicMargin",
    "Triplets",
    "binary_focal",
    "cross_entropy_with_other",
    "focal_of_steps",
    "mine_nearest",
    "mine_semihard",
    "triplet_loss",
]

Triplets = tuple[Tensor, Tensor, Tensor]  # indices (N,) of anchors, positives, negatives


@dataclass(kw_only=True)
class DynamicMargin:
    """The margin of Algorithm 1 (Thakur et al. 2019).

    It grows by `step` up to `maximum` after `patience` consecutive poor harvests. A harvest is poor
    when fewer than `scarce` semi-hard triplets were mined from a mini-batch. Runs of poor harvests
    are `overlapping` as Algorithm 1 writes it: the margin grows after every harvest that is the
    last of `patience` poor ones. Else each growth starts the count again.
    """

    margin: float = 0.2
    step: float = 0.05
    maximum: float = 0.6
    scarce: int = 15
    patience: int = 3
    overlapping: bool = False
    poor_harvests: int = 0

    def update(self, mined: int) -> float:
        """Account for one mini-batch's harvest, and return the margin to use next."""
        self.poor_harvests = self.poor_harvests + 1 if mined < self.scarce else 0
        if self.poor_harvests >= self.patience:
            self.margin = min(self.maximum, round(self.margin + self.step, 10))
            if not self.overlapping:
                self.poor_harvests = 0
        return self.margin

    @property
    def at_maximum(self) -> bool:
        """Whether the margin can grow no further: training ends here once the loss is about 0."""
        return self.margin >= self.maximum


def _euclidean(power: int) -> distances.LpDistance:
    return distances.LpDistance(normalize_embeddings=False, p=2, power=power)


def mine_semihard(
    embeddings: Tensor, classes: Tensor, margin: float, *, squared: bool = True
) -> Triplets:
    """Return every triplet of the batch whose negative is farther than its positive.

    It is farther by less than the margin, in `squared` Euclidean distance as equation 1 has it, or
    in the plain one of section II.C ("d() refers to the Euclidean distance").
    """
    miner = miners.TripletMarginMiner(
        margin=margin, type_of_triplets="semihard", distance=_euclidean(2 if squared else 1)
    )
    anchors, positives, negatives = miner(embeddings, classes)
    return anchors, positives, negatives


@torch.no_grad()
def mine_nearest(embeddings: Tensor, classes: Tensor) -> Triplets:
    """Return one triplet for each pair of a class in the batch, in squared Euclidean distance.

    Its negative is the nearest that is farther than the positive; where none is, the farthest of
    all negatives. A pair in a batch of one class has none.
    """
    anchors, positives, _, _ = loss_and_miner_utils.get_all_pairs_indices(classes)
    other = classes[:, None] != classes[None]
    pairs = other[anchors].any(dim=1)
    anchors, positives = anchors[pairs], positives[pairs]
    squared = _euclidean(2)(embeddings)
    apart = squared[anchors]  # (pairs, batch), from the anchor to every window
    farther = other[anchors] & (apart > squared[anchors, positives][:, None])
    nearest = apart.masked_fill(~farther, torch.inf).argmin(dim=1)
    farthest = apart.masked_fill(~other[anchors], -torch.inf).argmax(dim=1)
    return anchors, positives, torch.where(farther.any(dim=1), nearest, farthest)


def triplet_loss(embeddings: Tensor, classes: Tensor, triplets: Triplets, margin: float) -> Tensor:
    """Return the mean over triplets of max(|a - p|^2 - |a - n|^2 + margin, 0).

    This is equation 2 with a mean instead of a sum, to suit any number of triplets.
    """
    loss = losses.TripletMarginLoss(
        margin=margin, distance=_euclidean(2), reducer=reducers.MeanReducer()
    )
    value: Tensor = loss(embeddings, classes, triplets)
    return value


def cross_entropy_with_other(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, K) with an implicit logit 0 for 'other'.

    Targets (B, K + 1) are soft, the last column is 'other'. Outliers shown in training have the
    target 'other' (outlier exposure, Hendrycks et al. 2019); the network still has K outputs, and a
    window that resembles nothing known ends with all of them below 0.
    """
    with_other = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1)
    return -(targets * functional.log_softmax(with_other, dim=1)).sum(dim=1).mean()


def binary_focal(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return the focal loss (Lin et al. 2017) of logits (B, K) with targets (B, K) of 0 to 1.

    It is summed over species and averaged over windows. A species that already has probability p of
    the right answer counts (1 - p)^gamma as much: most species are absent most of the time.
    """
    return _focal(logits, targets, gamma).sum(dim=1).mean()


def focal_of_steps(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return `binary_focal` of time steps: logits and targets (B, T', K).

    Those whose target is NaN are left out; 0 when all are. It is of a size with that of whole
    windows: K times the mean over the steps and species that count.
    """
    sure = ~torch.isnan(targets)
    losses = _focal(logits[sure], targets[sure], gamma)
    return losses.sum() * (logits.shape[-1] / max(1, len(losses)))


def _focal(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = (torch.sigmoid(logits) - targets).abs()
    return wrong.pow(gamma) * losses
