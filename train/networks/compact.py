"""The default's network: a narrow convolutional trunk, trained with margin and with outliers.

Departs from MS-CNN: batch normalisation, of every mel band at the input and after each convolution;
pooled early; the frequency axis is kept to the end (pitch tells species apart) and collapsed by a
learned convolution; mean and maximum over time (a call may fill a tenth of the window). Logits are
scaled cosines of the embedding to one direction per species, plus a bias, against an 'other' of 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CompactCnn"]


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class CompactCnn(nn.Module):
    """(B, channels, n_mels, frames) -> embedding (B, 128) of unit length, logits (B, classes)."""

    def __init__(
        self, channels: int, n_mels: int, classes: int, *, width: int = 24, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.band_norm = nn.BatchNorm1d(channels * n_mels)
        self.trunk = nn.Sequential(
            _conv(channels, width, 5, 2),
            _conv(width, width),
            nn.MaxPool2d(2),
            _conv(width, 2 * width),
            _conv(2 * width, 2 * width),
            nn.MaxPool2d(2),
            _conv(2 * width, 4 * width),
            nn.MaxPool2d((2, 1)),
            _conv(4 * width, 6 * width),
        )
        self.collapse = nn.Sequential(
            nn.Conv2d(6 * width, 256, (n_mels // 16, 1), bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(inplace=True),
        )
        self.frame_dropout, self.dropout = nn.Dropout(0.1), nn.Dropout(dropout)
        self.embed = nn.Linear(2 * 256, 128)
        self.directions = nn.Linear(128, classes)
        self.scale = nn.Parameter(torch.tensor(12.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.band_norm(x.flatten(1, 2)).unflatten(1, (-1, x.shape[2]))
        frames = self.frame_dropout(self.collapse(self.trunk(x)).squeeze(2))
        pooled = torch.cat([frames.mean(2), frames.amax(2)], dim=1)
        embedding = functional.normalize(self.embed(self.dropout(pooled)), dim=1)
        directions = functional.normalize(self.directions.weight, dim=1)
        return embedding, self.scale * embedding @ directions.T + self.directions.bias
