"""The objective without labels: spherical k-means."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from train.learning.accuracy import top1_of_neighbours
from train.learning.objective import Stateless, Update
from train.networks.spherical import SphericalKMeans
from train.recipe.objectives import KMeansSpec
from train.windows.batches import Batches

__all__ = ["KMeansObjective"]


class KMeansObjective(Stateless):
    """Mini-batch spherical k-means of the network's own frames.

    The loss is 1 minus the mean cosine to the nearest base.
    """

    def __init__(self, spec: KMeansSpec, batches: Batches, device: torch.device) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        assert isinstance(network, SphericalKMeans), "the recipe was checked"
        if not network.whitened:
            windows, _, _ = self.batches.classification(rng, self.spec.whitening_windows, 0)
            network.start(torch.from_numpy(windows).to(self.device), rng)
        features, _, classes = self.batches.classification(rng, self.batch, 0)
        x = torch.from_numpy(features).to(self.device)
        with torch.no_grad():
            top1 = top1_of_neighbours(network(x)[0].cpu(), torch.from_numpy(classes))
        return {"loss": 1 - network.learn(x), **top1}
