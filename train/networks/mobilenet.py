"""The reduced MobileNetV2 of system S3.

Two of the seven rows of Sandler et al. 2018 are left out, two are shorter.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from train.networks.backbones import import_timm

__all__ = ["ReducedMobileNet"]

# t, c, n, s: expansion, output channels, blocks, stride of the first block
ROWS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 2, 2), (6, 64, 1, 1))


class ReducedMobileNet(nn.Module):
    """(B, channels, F, T) -> embedding (B, features) of unit length, logits (B, classes).

    The embedding is the pooled features. Reading taken where the slides are silent: stem of 32 and
    last 1x1 convolution of 1280 channels as in MobileNetV2, no published weights. `width`
    multiplies the channels.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: float = 1.0,
        features: int = 1280,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        import_timm()
        from timm.models._efficientnet_builder import decode_arch_def, round_channels
        from timm.models.efficientnet import EfficientNet

        rows = [
            [f"ds_r{n}_k3_s{s}_c{c}" if t == 1 else f"ir_r{n}_k3_s{s}_e{t}_c{c}"]
            for t, c, n, s in ROWS
        ]
        self.trunk: Any = EfficientNet(
            decode_arch_def(rows),  # type: ignore[no-untyped-call]
            num_classes=0,
            num_features=features,
            in_chans=channels,
            stem_size=32,
            round_chs_fn=partial(round_channels, multiplier=width),
            norm_layer=nn.BatchNorm2d,
            act_layer=nn.ReLU6,
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk.forward_features(x).mean(dim=(2, 3))
        return functional.normalize(pooled, dim=1), self.classify(self.dropout(pooled))
