"""Small networks as ONNX, of the kinds that no system of `config/systems.yaml` has as a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from tests.train.graphs import graph_of
from tests.train.tiny_networks import Shape, tiny_network
from train.networks import build_network

__all__ = ["GRAPHS", "NamedGraph"]

CLASSES = 5
S1: Shape = (3, 40, 216)


@dataclass(frozen=True, kw_only=True)
class NamedGraph:
    """A graph for features of `shape`, with the names of its further outputs."""

    model: bytes
    shape: Shape
    extra_outputs: tuple[str, ...]


def _graph(network: nn.Module, shape: Shape) -> NamedGraph:
    extra: tuple[str, ...] = getattr(network, "extra_outputs", ())
    return NamedGraph(model=graph_of(network.eval(), shape), shape=shape, extra_outputs=extra)


def _of_papers(name: str) -> NamedGraph:
    network, shape = tiny_network(name)
    return _graph(network, shape)


def _mscnn() -> NamedGraph:
    torch.manual_seed(0)
    options = {"width": 8, "time_pool": 4}
    return _graph(build_network("mscnn", options, shape=S1, classes=CLASSES), S1)


GRAPHS: dict[str, Callable[[], NamedGraph]] = {
    "cnn2": cache(partial(_of_papers, "cnn2")),
    "resnet18": cache(partial(_of_papers, "resnet18")),
    "mscnn": cache(_mscnn),
}
