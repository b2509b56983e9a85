"""A network that does not answer with some of the species it has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edge.bundle.local import LocalFrames

__all__ = ["Withheld", "WithheldFrames"]


class Withheld(nn.Module):
    """Answers 'none of these' for species that validation cannot vouch for.

    Their probability goes to the implicit 'other'. With other's logit 0, p(other) + p(withheld) has
    the logit log(1 + sum exp(withheld)); subtracted from the kept logits, it is the new 0.
    Embeddings are unchanged.
    """

    def __init__(self, network: nn.Module, *, kept: Sequence[int], withheld: Sequence[int]) -> None:
        super().__init__()
        self.network: Any = network
        self.register_buffer("kept", torch.tensor(list(kept)), persistent=False)
        self.register_buffer("withheld", torch.tensor(list(withheld)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding, logits = self.network(x)
        return embedding, self._answered(logits)

    def _answered(self, logits: Tensor) -> Tensor:
        """Return the logits (..., kept) of what is answered."""
        withheld = logits.index_select(-1, self.get_buffer("withheld"))
        with_other = torch.cat([torch.zeros_like(logits[..., :1]), withheld], dim=-1)
        other = torch.logsumexp(with_other, dim=-1, keepdim=True)
        return logits.index_select(-1, self.get_buffer("kept")) - other


class WithheldFrames(Withheld):
    """The same of a network with local frames (`train.networks.local`)."""

    extra_outputs = ("frames",)

    @property
    def sharing(self) -> LocalFrames:
        """Those of the network."""
        frames: LocalFrames = self.network.sharing
        return frames

    def with_extra_outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embedding, logits, and the logits of frames (B, T', kept)."""
        return self.of_local_frames(self.local_frames(x))

    def local_frames(self, x: Tensor) -> Tensor:
        """Return those of the network."""
        frames: Tensor = self.network.local_frames(x)
        return frames

    def of_local_frames(self, local: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `with_extra_outputs` does, of frames that are known."""
        embedding, logits, frames = self.network.of_local_frames(local)
        return embedding, self._answered(logits), self._answered(frames)
