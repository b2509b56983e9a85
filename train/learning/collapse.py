"""A collapsed embedding is not convergence: its spread is watched, and a collapse ends the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.errors import UserError

__all__ = [
    "LEAST_SPREAD",
    "PATIENCE",
    "CollapsedError",
    "DivergedError",
    "SpreadWatch",
    "Starved",
    "StarvedError",
    "hardest_loss",
    "spread_of",
]

# Networks of this project begin with a spread of 0.1 to 0.3. Small ones with much dropout come near
# 0.01 while batches still have triplets to learn from, so it is a tenth of that.
LEAST_SPREAD = 0.001
PATIENCE = 10  # looks in a row
STARVED = 50  # batches in a row


class CollapsedError(UserError):
    """The network embeds all windows as nearly one point, and learns nothing any more."""


class DivergedError(CollapsedError):
    """The network has come to numbers that are none, and can learn nothing any more."""

    def __init__(self) -> None:
        super().__init__(
            "the network returned NaN or infinity: training diverged; lower learning_rate, and "
            "train in another run folder"
        )


class StarvedError(UserError):
    """No negative lies within the margin beyond a positive, and the network learns nothing."""

    def __init__(self, margin: float | None) -> None:
        within = "the margin" if margin is None else f"the margin of {margin:g}"
        super().__init__(
            f"batch after batch has no semi-hard triplet: no distance lies within {within} beyond "
            "that of a pair; set negatives: nearest in the objective where it has them, or let the "
            "network normalise its embedding, and train in another run folder"
        )


def spread_of(embeddings: Tensor) -> float:
    """Return the root mean square distance of embeddings (N, D) from their mean.

    Embeddings longer than 1 are measured in units of their own root mean square length, so that
    points far from zero and close together have no spread. It is between 0 and 1 for unit vectors.
    """
    points = embeddings.detach().double()
    length = float(points.square().sum(dim=1).mean().sqrt())
    distance = float((points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    return distance / max(1.0, length)


@dataclass(kw_only=True)
class SpreadWatch:
    """Looks at the embedding of mini-batches, and remembers how often in a row it was narrow."""

    narrow: int = 0

    def look(self, embeddings: Tensor) -> float:
        """Return the spread of embeddings (N, D) computed without dropout.

        Raises `CollapsedError` after `PATIENCE` looks in a row below `LEAST_SPREAD`, and
        `DivergedError` where the embedding is not finite.
        """
        spread = spread_of(embeddings)
        if not math.isfinite(spread):
            raise DivergedError
        self.narrow = self.narrow + 1 if spread < LEAST_SPREAD else 0
        if self.narrow >= PATIENCE:
            raise CollapsedError(
                f"the embedding collapsed: all windows lie within {spread:.2g} of one point, so no "
                "triplet teaches anything; lower learning_rate or the network's dropout, and train "
                "in another run folder"
            )
        return spread


@dataclass(kw_only=True)
class Starved:
    """Counts batches in a row without a triplet, in none of which all classes were apart."""

    batches: int = 0

    def look(self, triplets: int, loss: float, margin: float) -> None:
        """Take note of a batch's count of triplets, and of its `hardest_loss` where it has none.

        Raises `StarvedError` after `STARVED` batches in a row.
        """
        self.batches = 0 if triplets or loss <= margin else self.batches + 1
        if self.batches >= STARVED:
            raise StarvedError(margin)


@torch.no_grad()
def hardest_loss(embeddings: Tensor, classes: Tensor, margin: float) -> float:
    """Return the mean over anchors of the triplet loss of each anchor's hardest triplet.

    That is its farthest window of the same class against its nearest of another, in squared
    distances. It is 0 only where every triplet of the batch keeps the margin, and the margin itself
    where all embeddings (N, D) are one point.
    """
    squared = torch.cdist(embeddings.double(), embeddings.double()).square()
    same = classes[:, None] == classes[None]
    farthest_same = squared.masked_fill(~same, 0).amax(dim=1)
    nearest_other = squared.masked_fill(same, math.inf).amin(dim=1)
    return float(torch.relu(farthest_same - nearest_other + margin).mean())
