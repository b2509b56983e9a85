"""The networks of systems S2 to S5, so small that they train in seconds."""

from __future__ import annotations

import torch
from torch import nn

from train.networks import build_network

__all__ = ["NETWORKS", "S2", "S3", "S4", "S5", "Shape", "tiny_network"]

Shape = tuple[int, int, int]
S2 = (3, 40, 200)
S3 = (10, 128, 321)
S4 = (3, 299, 997)
S5 = (1, 128, 501)
SMALL_RESNEXT = {
    "layers": [1, 1, 1, 1],
    "channels": [8, 8, 16, 16],
    "cardinality": 1,
    "base_width": 64,
}
# kind, options, shape of the features: each trains in seconds
NETWORKS: dict[str, tuple[str, dict[str, object], Shape]] = {
    "cnn1": ("cnn1", {"width": 8, "time_pool": 4}, S2),
    "cnn2": ("cnn2", {"width": 8, "time_pool": 4}, S2),
    "mobilenet": ("mobilenet", {"width": 0.25, "features": 64}, (10, 64, 80)),
    "resnet18": ("resnet18", {"size": {"channels": [8, 16, 16, 32]}}, (10, 64, 80)),
    "resnest50": (
        "resnest50",
        {"size": {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_width": 8}},
        (1, 64, 80),
    ),
    "segmentation": (
        "segmentation",
        {"width": 16, "heads": 4, "size": SMALL_RESNEXT},
        (1, 64, 160),
    ),
    "soundception": ("soundception", {"blocks": [0, 1, 0]}, (3, 76, 130)),
}


def tiny_network(name: str) -> tuple[nn.Module, Shape]:
    """Return a network with random weights, and the shape of its features."""
    kind, options, shape = NETWORKS[name]
    torch.manual_seed(0)
    return build_network(
        kind, options, shape=shape, classes=None if kind.startswith("cnn") else 5
    ), shape
