"""MS-CNN: the multiscale network of Thakur et al. 2019, and its cross-entropy variant.

Section II.B. Reading taken where the paper is silent: 3x3 convolutions with bias and zero padding;
the stride acts on the mel axis only; global average pooling over what is left of frequency and
time. 40 mel bands leave one band after the strides 2, 2, 2, 5. Weights start as He et al. 2015 have
it: with torch's own start the signal fades over the layers, which have no normalisation, all
windows embed as one point, and no triplet is semi-hard any more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MsCnn", "MultiscaleModule", "initialise"]


class MultiscaleModule(nn.Module):
    """MAM: four parallel strands, concatenated: (B, w, F, T) -> (B, 4w, F, T).

    The strands are 1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | 1x1 -> 7x7.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.direct = nn.Conv2d(width, width, 1)
        self.squeeze = nn.ModuleList(nn.Conv2d(width, width // 2, 1) for _ in (3, 5, 7))
        self.analyse = nn.ModuleList(
            nn.Conv2d(width // 2, width, k, padding=k // 2) for k in (3, 5, 7)
        )

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.squeeze, self.analyse, strict=True)
        strands = [
            self.direct(x),
            *(analyse(functional.relu(squeeze(x))) for squeeze, analyse in pairs),
        ]
        return functional.relu(torch.cat(strands, dim=1))


class MsCnn(nn.Module):
    """(B, channels, n_mels, frames) -> embedding (B, 128) of unit length, and the last layer.

    The last layer is logits (B, classes) when `classes` is given: it is replaced as in the caption
    of figure 3, and the embedding is then its normalised input. `width` is 64 in the paper; a
    narrower one and `time_pool` > 1 (average pooling of input frames) buy speed on small machines.
    """

    def __init__(
        self,
        channels: int,
        classes: int | None = None,
        *,
        width: int = 64,
        dropout: float = 0.5,
        time_pool: int = 1,
    ) -> None:
        super().__init__()
        self.time_pool = time_pool
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.modules_ = nn.ModuleList(MultiscaleModule(width) for _ in range(4))
        self.bottlenecks = nn.ModuleList(
            nn.Conv2d(4 * width, width, 3, stride=(s, 1), padding=1) for s in (2, 2, 2, 5)
        )
        self.dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, 128),
            nn.ReLU(),
        )
        self.last = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(128, 128 if classes is None else classes)
        )
        self.classifies = classes is not None
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.time_pool > 1:
            x = functional.avg_pool2d(x, (1, self.time_pool))
        x = functional.relu(self.first(x))
        for module, bottleneck in zip(self.modules_, self.bottlenecks, strict=True):
            x = functional.relu(bottleneck(module(x)))
        hidden = self.dense(x.mean(dim=(2, 3)))
        last: Tensor = self.last(hidden)
        return functional.normalize(hidden if self.classifies else last, dim=1), last


def initialise(module: nn.Module) -> None:
    """Start a layer as He et al. 2015 have it; see the top of this file."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
