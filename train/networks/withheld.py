"""A network that does not answer with some of the species it has learnt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Withheld"]


class Withheld(nn.Module):
    """Answers 'none of these' for species that validation cannot vouch for.

    Their probability goes to the implicit 'other'. With other's logit 0, p(other) + p(withheld) has
    the logit log(1 + sum exp(withheld)); subtracted from the kept logits, it is the new 0.
    Embeddings are unchanged.
    """

    def __init__(self, network: nn.Module, *, kept: Sequence[int], withheld: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("kept", torch.tensor(list(kept)), persistent=False)
        self.register_buffer("withheld", torch.tensor(list(withheld)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding, logits = self.network(x)
        with_other = torch.cat(
            [torch.zeros_like(logits[:, :1]), logits.index_select(1, self.get_buffer("withheld"))],
            dim=1,
        )
        other = torch.logsumexp(with_other, dim=1, keepdim=True)
        return embedding, logits.index_select(1, self.get_buffer("kept")) - other
