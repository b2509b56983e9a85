"""Image networks with a new last layer, pooled over the whole image.

ResNet-18 (He et al. 2016), ResNeSt-50 (Zhang et al. 2020), EfficientNet-Lite0 (Liu 2020, after Tan
and Le 2019), whose published weights come with a package.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from train.networks.backbones import Backbone, Widen

__all__ = ["Transfer"]


class Transfer(nn.Module):
    """(B, channels, F, T) -> embedding (B, width) of unit length and logits (B, classes).

    The embedding is the pooled features. `widen` is how the published first layer takes other than
    three channels; `size` goes to timm, e.g. {channels: [8, 16, 32, 64]}.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        backbone: str,
        widen: Widen = "repeat",
        dropout: float = 0.0,
        size: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = Backbone(backbone, inputs=channels, widen=widen, size=size)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.trunk.width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk(x).mean(dim=(2, 3))
        return functional.normalize(pooled, dim=1), self.classify(self.dropout(pooled))

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        """Return what a stage of training moves: `top` is the new layer."""
        return {"top": [self.classify], "all": [self]}
