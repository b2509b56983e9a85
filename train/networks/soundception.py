"""Soundception (Sevilla and Glotin 2017, BirdCLEF): Inception-v4 that learns where to look.

Convolutional in time. Readings taken: the auxiliary branch leaves after the last Inception-B block,
as in Inception-v4, with its pooling 3x3 of stride 3 and without padding; its detector is one weight
per time step, from the branch's own last features. The detector of the main branch is a 1x1
convolution to one map; softmax over all its positions makes the product a weighted mean of the
features. The auxiliary logits count in training only, as Inception's do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import SpecError
from train.networks.backbones import Backbone

__all__ = ["Soundception"]

SMALLEST = 75  # bands and frames: Inception-v4 has hardly any padding
BLOCKS = (4, 7, 3)  # of Inception-A, -B and -C
STEM = 6


class Soundception(nn.Module):
    """(B, channels, F, T) -> embedding (B, 1536) of unit length and logits (B, classes).

    The embedding is the attended features. In training the auxiliary branch's logits (B, classes)
    follow. F is fixed by the constructor, T is free. Fewer `blocks` than (4, 7, 3) make it smaller;
    published weights fit the whole only.
    """

    extra_outputs = ("attention", "time_attention")

    def __init__(
        self,
        channels: int,
        bands: int,
        frames: int,
        classes: int,
        *,
        blocks: Sequence[int] = BLOCKS,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if min(bands, frames) < SMALLEST:
            raise SpecError(
                f"network soundception needs at least {SMALLEST} bands and frames, the frontend "
                f"has {bands} and {frames}"
            )
        if len(blocks) != len(BLOCKS) or any(
            not 0 <= b <= most for b, most in zip(blocks, BLOCKS, strict=True)
        ):
            raise SpecError(
                f"network soundception: blocks must be three numbers up to {list(BLOCKS)}, not "
                f"{list(blocks)}"
            )
        self.trunk = Backbone("inception_v4", inputs=channels)
        self.trunk.published_size = tuple(blocks) == BLOCKS
        self.trunk.model.features, self.split = _keep(self.trunk.model.features, blocks)
        self.auxiliary = nn.Sequential(
            nn.AvgPool2d(3, 3),
            _conv(1024, 128, 1),
            _conv(128, 768, (_bands_of_auxiliary(bands), 1)),
        )
        self.time_detector = nn.Conv2d(768, 1, 1)
        self.detector = nn.Conv2d(self.trunk.width, 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.classify_auxiliary = nn.Linear(768, classes)
        self.classify = nn.Linear(self.trunk.width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        middle = self.trunk.model.features[: self.split](x)
        embedding, logits, _ = self._main_branch(middle)
        if self.training:
            return embedding, logits, self._auxiliary_logits(middle)
        return embedding, logits

    def with_extra_outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return embedding, logits, and both attentions (B, F', T') and (B, T''), in one pass."""
        middle = self.trunk.model.features[: self.split](x)
        embedding, logits, attention = self._main_branch(middle)
        in_time = self._time_attention(self.auxiliary(middle)).flatten(1)
        return embedding, logits, attention.squeeze(1), in_time

    def _main_branch(self, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.trunk.model.features[self.split :](middle)
        attention = self.attention(features)
        pooled = (features * attention).sum(dim=(2, 3))
        return functional.normalize(pooled, dim=1), self.classify(self.dropout(pooled)), attention

    def attention(self, features: Tensor) -> Tensor:
        """Return the softmax of the detector's map over time and frequency.

        The result (B, 1, F', T') adds up to 1 in each window.
        """
        scores = self.detector(features)
        return torch.softmax(scores.flatten(1), dim=1).reshape(scores.shape)

    def _auxiliary_logits(self, middle: Tensor) -> Tensor:
        """Return features of each time step times the sigmoid of their detector, averaged."""
        steps = self.auxiliary(middle)
        attended = steps * self._time_attention(steps)
        logits: Tensor = self.classify_auxiliary(attended.mean(dim=(2, 3)))
        return logits

    def _time_attention(self, steps: Tensor) -> Tensor:
        """Return the sigmoid (B, 1, 1, T'') of the detector of time steps (B, 768, 1, T'')."""
        return torch.sigmoid(self.time_detector(steps))

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        """Return what a stage of training moves.

        `top`: the layers to species; `last`: also detectors and all after the split; or `all`.
        """
        top: list[nn.Module] = [self.classify, self.classify_auxiliary]
        last = [
            *top,
            self.detector,
            self.time_detector,
            self.auxiliary,
            self.trunk.model.features[self.split :],
        ]
        return {"top": top, "last": last, "all": [self]}


def _keep(features: nn.Sequential, blocks: Sequence[int]) -> tuple[nn.Sequential, int]:
    """Return the stem, the two reductions and the first `blocks` of each kind.

    The number is how many layers come before the second reduction.
    """
    layers = list(features)
    kept, start = layers[:STEM], STEM
    for kind, (count, there) in enumerate(zip(blocks, BLOCKS, strict=True)):
        kept += layers[start : start + count]
        start += there
        if kind < 2:
            split = len(kept)
            kept.append(layers[start])
            start += 1
    return nn.Sequential(*kept), split


def _bands_of_auxiliary(bands: int) -> int:
    """Return the bands left of `bands` at the end of the auxiliary branch.

    The stem, the first reduction and the pooling of the branch come before.
    """
    left = (bands - 3) // 2 + 1 - 2  # two convolutions, the first of stride 2
    left = (left - 3) // 2 + 1 - 2  # Mixed-3a and the valid convolution of 4a
    for _ in range(2):  # Mixed-5a and the reduction
        left = (left - 3) // 2 + 1
    return left // 3


def _conv(inputs: int, outputs: int, kernel: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
