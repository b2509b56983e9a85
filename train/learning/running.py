"""A network in evaluation mode on arrays, so many windows at once as fit into memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["run_batches"]

# Numbers of input that are run at once: large images fill memory with what is between the layers.
AT_ONCE = 8_000_000


@torch.no_grad()
def run_batches(
    network: nn.Module, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return embedding (n, d) and logits (n, classes) of features (n, channels, bands, frames).

    Puts the network into evaluation mode.
    """
    network.eval()
    device = next(network.parameters()).device
    together = max(1, min(64, AT_ONCE // features[0].size)) if len(features) else 1
    parts = [
        network(chunk.to(device)) for chunk in torch.split(torch.from_numpy(features), together)
    ]
    embedding, logits = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return embedding, logits
