"""How often a network is right in what it has just seen: the accuracy of learning curves."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["top1_of_logits", "top1_of_neighbours"]


@torch.no_grad()
def top1_of_logits(logits: Tensor, shares: Tensor) -> dict[str, float]:
    """Return `top1`: the share of windows whose largest logit (B, K) is of a species in them.

    `shares` (B, K) are those of the species in a window; of a mixture, the largest count. Windows
    without any species are left out, and without others there is no `top1`.
    """
    most = shares.amax(dim=1)
    asked = most > 0
    if not bool(asked.any()):
        return {}
    said = shares.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0]
    return {"top1": float((said == most)[asked].double().mean())}


@torch.no_grad()
def top1_of_neighbours(embeddings: Tensor, classes: Tensor) -> dict[str, float]:
    """Return `top1`: the share of windows whose nearest other window is of their class.

    Embeddings are (B, D), classes (B,), -1 where a window has none. Classes with one window are
    left out, and where all are, there is no `top1`.
    """
    embeddings, classes = embeddings.double()[classes >= 0], classes[classes >= 0]
    if len(classes) < 2:
        return {}
    distance = torch.cdist(embeddings, embeddings)
    distance.fill_diagonal_(float("inf"))
    asked = (classes[:, None] == classes).sum(dim=1) > 1
    if not bool(asked.any()):
        return {}
    right = classes[distance.argmin(dim=1)] == classes
    return {"top1": float(right[asked].double().mean())}
