"""ONNX graphs of networks whose frontend is only a shape here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import nn

from edge.bundle import FrontendSpec
from train.export.export import to_onnx

__all__ = ["graph_of"]


@dataclass(frozen=True)
class _OnlyShape:
    shape: tuple[int, int, int]


def graph_of(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The graph for features of `shape` (channels, bands, frames)."""
    return to_onnx(network, cast(FrontendSpec, _OnlyShape(shape)))
