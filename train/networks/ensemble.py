"""Several networks as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.networks.local import LocalCnn

__all__ = ["NetworkEnsemble", "assembled"]


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


def assembled(members: list[nn.Module]) -> nn.Module:
    """Return what is used of members: together, and without the layers that serve in training."""
    for member in members:
        if isinstance(member, LocalCnn):
            member.forget_teacher()
    return NetworkEnsemble(members) if len(members) > 1 else members[0]
