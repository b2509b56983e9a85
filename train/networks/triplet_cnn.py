"""The two embedding networks of Clementino and Colonna 2020 (BirdCLEF), of MS-CNN's modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import SpecError
from train.networks.mscnn import MultiscaleModule, initialise

__all__ = ["TripletCnn"]

STRIDES = {"cnn1": (2, 5), "cnn2": (2, 2, 2, 5)}
DROPOUT = {"cnn1": 0.5, "cnn2": 0.0}


class TripletCnn(nn.Module):
    """(B, channels, n_mels, frames) -> embedding (B, 128), and the last layer in place of logits.

    Table 2 of the paper: `cnn1` has two multiscale modules and dropout after the dense layers,
    `cnn2` four and none; dense layers 256, 256, 128, the last linear. Reading taken where the paper
    is silent: as in MS-CNN, with ReLU after the first two dense. The embedding is the last layer,
    of unit length where it is to `normalise`: margins of 0.5 and 1.0 on squared distances suit
    those of unit vectors, which end at 4.
    """

    def __init__(
        self,
        channels: int,
        variant: str = "cnn2",
        *,
        width: int = 64,
        dropout: float | None = None,
        time_pool: int = 1,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if variant not in STRIDES:
            raise SpecError(
                f"network triplet_cnn: variant '{variant}' is none of {', '.join(STRIDES)}"
            )
        strides = STRIDES[variant]
        rate = DROPOUT[variant] if dropout is None else dropout
        self.time_pool = time_pool
        self.normalise = normalise
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.modules_ = nn.ModuleList(MultiscaleModule(width) for _ in strides)
        self.bottlenecks = nn.ModuleList(
            nn.Conv2d(4 * width, width, 3, stride=(s, 1), padding=1) for s in strides
        )
        self.dense = nn.Sequential(
            nn.Linear(width, 256),
            nn.ReLU(),
            nn.Dropout(rate),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Dropout(rate),
            nn.Linear(256, 128),
        )
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.time_pool > 1:
            x = functional.avg_pool2d(x, (1, self.time_pool))
        x = torch.relu(self.first(x))
        for module, bottleneck in zip(self.modules_, self.bottlenecks, strict=True):
            x = torch.relu(bottleneck(module(x)))
        last: Tensor = self.dense(x.mean(dim=(2, 3)))
        return functional.normalize(last, dim=1) if self.normalise else last, last
