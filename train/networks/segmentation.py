"""The segmentation network of system S5 (BirdCLEF 2021): a sequence of species scores.

It learns from labels of whole clips. Readings taken: log-sum-exp is a mean in its exponent, so that
a constant sequence gives that constant for any length, and is taken of the logits, so that a
sigmoid of what comes out is a score like any other; the embedding is the mean of the attended
sequence.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import SpecError
from train.networks.backbones import Backbone

__all__ = ["Segmentation", "log_mean_exp"]

BACKBONE = "resnext50_32x4d.fb_swsl_ig1b_ft_in1k"  # learnt from a billion images, as the paper's
SCALE = 32  # of the backbone, in both directions
SOFT_MAXIMUM = 5.0
SOFT_MINIMUM = -1.0


def log_mean_exp(x: Tensor, temperature: float) -> Tensor:
    """Return log-sum-exp pooling of the last axis (Pinheiro and Collobert 2015).

    It is about the maximum, or about the minimum where `temperature` is negative.
    """
    summed = torch.logsumexp(temperature * x, dim=-1)
    pooled: Tensor = (summed - math.log(x.shape[-1])) / temperature
    return pooled


class SelfAttention(nn.Module):
    """All time steps (B, T, D) look at all others and are added to what they see.

    It has neither normalisation nor a dense part.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        parts = (
            self.query_key_value(x)
            .reshape(batch, steps, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        joined: Tensor = x + self.out(seen.transpose(1, 2).reshape(batch, steps, width))
        return joined


class Segmentation(nn.Module):
    """(B, channels, F, T) -> embedding (B, width) of unit length and logits (B, classes).

    Logits are a soft maximum over time; in training the soft minimum (B, classes) follows them. One
    time step is 32 frames: 0.3 s at hops of 10 ms. `frame_logits` is the sequence itself, for audio
    of any length; F is fixed by the constructor.
    """

    extra_outputs = ("frames",)

    def __init__(
        self,
        channels: int,
        bands: int,
        classes: int,
        *,
        width: int = 512,
        heads: int = 8,
        size: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if bands % SCALE:
            raise SpecError(
                f"network segmentation needs a multiple of {SCALE} mel bands, the frontend has "
                f"{bands}"
            )
        if width % heads:
            raise SpecError(
                f"network segmentation: width {width} is not a multiple of heads {heads}"
            )
        self.trunk = Backbone(BACKBONE, inputs=channels, widen="average", size=size)
        self.compress = nn.Conv2d(self.trunk.width, width, (bands // SCALE, 1))
        self.attention = nn.Sequential(SelfAttention(width, heads), SelfAttention(width, heads))
        self.classify = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        embedding, logits, frames = self.with_extra_outputs(x)
        return (embedding, logits, self.pool(frames)[1]) if self.training else (embedding, logits)

    def with_extra_outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embedding, logits and those of every time step (B, T', classes), in one pass."""
        steps = self._steps(x)
        frames = self.classify(steps)
        return functional.normalize(steps.mean(dim=1), dim=1), self.pool(frames)[0], frames

    def pool(self, frame_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return soft maximum and soft minimum over time (B, classes) of `frame_logits`."""
        frames = frame_logits.transpose(1, 2)
        return log_mean_exp(frames, SOFT_MAXIMUM), log_mean_exp(frames, SOFT_MINIMUM)

    def frame_logits(self, x: Tensor) -> Tensor:
        """Return the logits of every time step (B, T', classes)."""
        logits: Tensor = self.classify(self._steps(x))
        return logits

    def _steps(self, x: Tensor) -> Tensor:
        steps: Tensor = self.attention(self.compress(self.trunk(x)).squeeze(2).transpose(1, 2))
        return steps
