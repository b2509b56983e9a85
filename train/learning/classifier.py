"""Classifiers of frozen embeddings: an MLP, neighbours, a forest, or an extreme learning machine.

The MLP is that of Thakur et al. 2019, II.B.2; the others are in `train.learning.heads`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.learning.heads import (
    Forest,
    Neighbours,
    extreme_learner,
    fit_elm,
    fit_forest,
    fit_neighbours,
)
from train.recipe.classifiers import AnyClassifierSpec, ClassifierSpec, ElmSpec, ForestSpec, KnnSpec

__all__ = ["EmbedThenClassify", "build_classifier", "fit_head", "read_classifier"]

BATCH = 256


class EmbedThenClassify(nn.Module):
    """An embedding network followed by a classifier of its embeddings.

    (B, C, F, T) -> embedding (B, D), logits (B, K).
    """

    def __init__(self, embedder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.embedder, self.classifier = embedder, classifier

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding, _ = self.embedder(x)
        return embedding, self.classifier(embedding)


def build_classifier(inputs: int, classes: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """Return the MLP: inputs -> hidden ReLU -> dropout, if any -> classes."""
    between = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), *between, nn.Linear(hidden, classes))


def read_classifier(spec: AnyClassifierSpec, state: dict[str, Tensor], *, count: int) -> nn.Module:
    """Return a classifier of `spec` with the sizes, and the tables, of its saved `state`."""
    match spec:
        case KnnSpec():
            equal = spec.votes == "equal"
            return Neighbours(state["points"], state["there"], k=spec.k, equal=equal)
        case ForestSpec():
            return Forest(state)
        case ElmSpec():
            return extreme_learner(state["0.weight"].shape[1], spec.hidden, count)
        case ClassifierSpec():
            return build_classifier(state["0.weight"].shape[1], count, spec.hidden, spec.dropout)


def fit_head(
    embedding: NDArray[np.float32],
    classes: NDArray[np.int64],
    *,
    count: int,
    spec: AnyClassifierSpec,
    seed: int,
) -> nn.Module:
    """Fit the classifier that the recipe names to embeddings (W, D) of classes (W,)."""
    match spec:
        case KnnSpec():
            return fit_neighbours(embedding, classes, count=count, spec=spec, seed=seed)
        case ForestSpec():
            return fit_forest(embedding, classes, count=count, spec=spec, seed=seed)
        case ElmSpec():
            return fit_elm(embedding, classes, count=count, spec=spec, seed=seed)
        case ClassifierSpec():
            return fit_classifier(embedding, classes, count=count, spec=spec, seed=seed)


def fit_classifier(
    embedding: NDArray[np.float32],
    classes: NDArray[np.int64],
    *,
    count: int,
    spec: ClassifierSpec,
    seed: int,
) -> nn.Sequential:
    """Train the MLP on embeddings (W, D) of classes (W,).

    Species are weighted equally, whatever their number of windows.
    """
    torch.manual_seed(seed)
    network = build_classifier(embedding.shape[1], count, spec.hidden, spec.dropout)
    optimiser = torch.optim.Adam(
        network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay
    )
    points, targets = torch.from_numpy(embedding), torch.from_numpy(classes)
    frequency = torch.bincount(targets, minlength=count).clamp(min=1).float()
    loss_function = nn.CrossEntropyLoss(weight=frequency.mean() / frequency)
    for _ in range(spec.epochs):
        for batch in torch.split(torch.randperm(len(points)), BATCH):
            optimiser.zero_grad()
            loss_function(network(points[batch]), targets[batch]).backward()
            optimiser.step()
    return network.eval()
