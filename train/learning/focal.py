"""One iteration of training with focal loss, of whole windows and of their time steps
(`train.learning.objectives.Objective`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from train.learning.losses import binary_focal, focal_of_steps
from train.networks.segmentation import Segmentation
from train.recipe.sections import FocalSpec
from train.windows.batches import Batches

__all__ = ["FocalObjective"]


class FocalObjective:
    """Binary focal loss on balanced batches, and on a network's soft minimum against nothing at
    all.

    With pseudo labels a part of it is the loss of single time steps; `told` names the labels that
    training began with.
    """

    def __init__(
        self, spec: FocalSpec, batches: Batches, device: torch.device, told: str = ""
    ) -> None:
        self.spec, self.batches, self.device, self.told = spec, batches, device, told
        self.batch = spec.batch

    def iterate(
        self, network: nn.Module, update: Callable[[Tensor], None], rng: np.random.Generator
    ) -> dict[str, float]:
        features, labels, steps = self.batches.labelled(rng, self.batch, self.spec.outlier_share)
        x, wanted = (
            torch.from_numpy(features).to(self.device),
            torch.from_numpy(labels).to(self.device),
        )
        if not self.spec.frame_weight or steps is None:
            _, logits, *minimum = network(x)
            loss = self._whole(logits, minimum, wanted)
            update(loss)
            return {"loss": float(loss.detach())}
        assert isinstance(network, Segmentation), "the recipe was checked"
        frames = network.frame_logits(x)
        logits, minimum_of_all = network.pool(frames)
        whole = self._whole(logits, [minimum_of_all], wanted)
        parts = focal_of_steps(frames, torch.from_numpy(steps).to(self.device), self.spec.gamma)
        loss = (1 - self.spec.frame_weight) * whole + self.spec.frame_weight * parts
        update(loss)
        return {"loss": float(loss.detach()), "loss_of_steps": float(parts.detach())}

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {"labels": self.told} if self.told else {}

    def restore(self, state: dict[str, Any]) -> None:
        if state.get("labels", "") != self.told:
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
