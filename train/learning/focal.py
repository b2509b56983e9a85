"""The objective of labels that stand beside each other: focal loss, of windows and time steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from train.learning.accuracy import top1_of_logits
from train.learning.losses import binary_focal, focal_of_steps
from train.learning.objective import Update
from train.networks.segmentation import Segmentation
from train.recipe.objectives import FocalSpec
from train.windows.batches import Batches

__all__ = ["FocalObjective"]


class FocalObjective:
    """Binary focal loss on balanced batches.

    A network's soft minimum over time is held against no species at all. With pseudo labels a part
    of the loss is that of single time steps; `pseudo_digest` names the labels that training began
    with, empty without any, and a checkpoint is resumed with the same labels only.
    """

    def __init__(
        self, spec: FocalSpec, batches: Batches, device: torch.device, pseudo_digest: str = ""
    ) -> None:
        self.spec = spec
        self.batches = batches
        self.device = device
        self.pseudo_digest = pseudo_digest
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        features, labels, steps = self.batches.labelled(rng, self.batch, self.spec.outlier_share)
        x = torch.from_numpy(features).to(self.device)
        wanted = torch.from_numpy(labels).to(self.device)
        if not self.spec.frame_weight or steps is None:
            _, logits, *minimum = network(x)
            loss = self._whole(logits, minimum, wanted)
            update(loss)
            return {"loss": float(loss.detach()), **top1_of_logits(logits, wanted)}
        assert isinstance(network, Segmentation), "the recipe was checked"
        frames = network.frame_logits(x)
        logits, minimum_of_all = network.pool(frames)
        whole = self._whole(logits, [minimum_of_all], wanted)
        parts = focal_of_steps(frames, torch.from_numpy(steps).to(self.device), self.spec.gamma)
        loss = (1 - self.spec.frame_weight) * whole + self.spec.frame_weight * parts
        update(loss)
        numbers = {"loss": float(loss.detach()), "loss_of_steps": float(parts.detach())}
        return {**numbers, **top1_of_logits(logits, wanted)}

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {"labels": self.pseudo_digest} if self.pseudo_digest else {}

    def restore(self, state: dict[str, Any]) -> None:
        if state.get("labels", "") != self.pseudo_digest:
            raise ConfigError(
                "the pseudo labels were changed after this training began; choose another run "
                "folder, or put them back"
            )

    def _whole(self, logits: Tensor, minimum: Sequence[Tensor], wanted: Tensor) -> Tensor:
        loss = binary_focal(logits, wanted, self.spec.gamma)
        for part in minimum:
            loss = loss + self.spec.minimum_weight * binary_focal(
                part, torch.zeros_like(wanted), self.spec.gamma
            )
        return loss
