"""What an objective is: one iteration of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

__all__ = ["Objective", "Stateless", "Update"]

Update = Callable[[Tensor], None]  # backward and optimiser step on a loss


class Objective(Protocol):
    """Runs iterations on a network: draw, forward, loss, update.

    Single-threaded, and owns no random state; the rest of its state is small and goes into the
    checkpoint. `batch` is how many windows it takes at a time, where that is free.
    """

    batch: int

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on one mini-batch; returns the numbers to log, `loss` among them."""
        ...

    def finished(self) -> bool:
        """Return whether training may end before its last step."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to continue."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        ...


class Stateless:
    """What objectives share that remember nothing between iterations and train to the end."""

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError("this objective keeps no state between iterations")
