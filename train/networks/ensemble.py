"""Several networks as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NetworkEnsemble"]


class NetworkEnsemble(nn.Module):
    """Several networks of the same frontend and labels as one.

    Embeddings are concatenated and normalised, logits are averaged.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, logits = zip(*(member(x) for member in self.members), strict=True)
        embedding = functional.normalize(torch.cat(embeddings, dim=1), dim=1)
        return embedding, torch.stack(logits).mean(dim=0)
