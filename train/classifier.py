"""The paper's second network: an MLP from frozen embeddings to species (Thakur et al. 2019, II.B.2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.recipe import ClassifierSpec

__all__ = ["EmbedThenClassify", "fit_classifier"]

BATCH = 256


class EmbedThenClassify(nn.Module):
    """An embedding network followed by a classifier of its embeddings: (B, C, F, T) -> embedding (B, D), logits (B, K)."""

    def __init__(self, embedder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.embedder, self.classifier = embedder, classifier

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding, _ = self.embedder(x)
        return embedding, self.classifier(embedding)


def build_classifier(inputs: int, classes: int, hidden: int) -> nn.Sequential:
    """The MLP: inputs -> hidden ReLU -> classes."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def fit_classifier(
    embedding: NDArray[np.float32], classes: NDArray[np.int64], *, count: int, spec: ClassifierSpec, seed: int
) -> nn.Sequential:
    """Train the MLP on embeddings (W, D) of classes (W,); species are weighted equally, whatever their number of windows."""
    torch.manual_seed(seed)
    network = build_classifier(embedding.shape[1], count, spec.hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    points, targets = torch.from_numpy(embedding), torch.from_numpy(classes)
    frequency = torch.bincount(targets, minlength=count).clamp(min=1).float()
    loss_function = nn.CrossEntropyLoss(weight=frequency.mean() / frequency)
    for _ in range(spec.epochs):
        for batch in torch.split(torch.randperm(len(points)), BATCH):
            optimiser.zero_grad()
            loss_function(network(points[batch]), targets[batch]).backward()
            optimiser.step()
    return network.eval()
