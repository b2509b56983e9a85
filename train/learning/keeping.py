"""Which weights of a training are used: those of its end, or of its best epoch."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import nn

__all__ = ["Keep", "KeptWeights"]

Keep = Literal["last", "least_validation_loss"]


class KeptWeights:
    """The weights of the epoch of least validation loss, where the recipe keeps those.

    `state` goes into the checkpoint: the `loss`, its `step` and the `network`, or nothing.
    """

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.state: dict[str, Any] = {}

    def look(self, network: nn.Module, numbers: dict[str, float], step: int) -> None:
        """Take the weights after an epoch if its `validation_loss` is the least so far."""
        if self.keep == "last":
            return
        loss = numbers["validation_loss"]
        if math.isfinite(loss) and loss < self.state.get("loss", math.inf):
            weights = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
            self.state = {"loss": loss, "step": step, "network": weights}

    def give(self, network: nn.Module) -> None:
        """Put the kept weights into `network`; without any it stays as it is."""
        if self.state:
            network.load_state_dict(self.state["network"])
