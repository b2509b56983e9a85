"""A bundle's graph of ordinary layers in PyTorch, to run it where training runs.

ONNX Runtime would take every batch through the memory of the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UserError

__all__ = ["GraphModule"]

Attributes = dict[str, Any]
Layer = Callable[[list[Any], Attributes], Tensor]


class GraphModule(nn.Module):
    """Runs an ONNX graph with one input; returns its outputs, by their names.

    Raises `UserError` for a graph with other layers than these.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        strange = sorted({node.op_type for node in graph.node} - LAYERS.keys())
        if strange:
            raise UserError(f"{path}: cannot be a teacher: it has layers of the kind {strange[0]}")
        self._nodes = [
            (LAYERS[node.op_type], list(node.input), node.output[0], _attributes(node))
            for node in graph.node
        ]
        self._input = graph.input[0].name
        self._outputs = [output.name for output in graph.output]
        self._small: dict[str, Any] = {}
        self._buffers_of: dict[str, str] = {}
        for i, initializer in enumerate(graph.initializer):
            values = torch.from_numpy(numpy_helper.to_array(initializer).copy())
            if values.dtype.is_floating_point:
                self.register_buffer(f"weight_{i}", values)
                self._buffers_of[initializer.name] = f"weight_{i}"
            else:  # axes and paddings, which layers need as numbers
                self._small[initializer.name] = values.tolist()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        values: dict[str, Any] = {**self._small, self._input: x, "": None}
        values |= {name: getattr(self, buffer) for name, buffer in self._buffers_of.items()}
        for layer, inputs, output, attributes in self._nodes:
            values[output] = layer([values[name] for name in inputs], attributes)
        return {name: values[name] for name in self._outputs}


def _attributes(node: onnx.NodeProto) -> Attributes:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _padded(x: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    """Return x with ONNX's paddings of its last axes: all beginnings, then all ends."""
    if not any(pads):
        return x
    count = len(pads) // 2
    pairs = [(pads[i], pads[count + i]) for i in reversed(range(count))]
    return functional.pad(x, [n for pair in pairs for n in pair], value=value)


def _conv(inputs: list[Any], a: Attributes) -> Tensor:
    x, weight, *bias = inputs
    return functional.conv2d(
        _padded(x, list(a.get("pads", [0, 0, 0, 0]))),
        weight.to(x.dtype),
        bias[0].to(x.dtype) if bias and bias[0] is not None else None,
        stride=tuple(a.get("strides", (1, 1))),
        dilation=tuple(a.get("dilations", (1, 1))),
        groups=a.get("group", 1),
    )


def _average_pool(inputs: list[Any], a: Attributes) -> Tensor:
    x = _padded(inputs[0], list(a.get("pads", [0, 0, 0, 0])))
    return functional.avg_pool2d(x, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))))


def _max_pool(inputs: list[Any], a: Attributes) -> Tensor:
    x = _padded(inputs[0], list(a.get("pads", [0, 0, 0, 0])), float("-inf"))
    return functional.max_pool2d(x, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))))


def _pad(inputs: list[Any], a: Attributes) -> Tensor:
    x, pads, *rest = inputs
    value = float(rest[0]) if rest and rest[0] is not None else 0.0
    return _padded(x, list(pads), value)


def _mean(inputs: list[Any], a: Attributes) -> Tensor:
    return torch.mean(inputs[0], dim=tuple(inputs[1]), keepdim=bool(a.get("keepdims", 1)))


def _unsqueeze(inputs: list[Any], a: Attributes) -> Tensor:
    x: Tensor = inputs[0]
    for axis in sorted(inputs[1]):
        x = x.unsqueeze(axis)
    return x


def _gemm(inputs: list[Any], a: Attributes) -> Tensor:
    x, weight, bias = inputs
    matrix = weight.to(x.dtype) if a.get("transB", 0) else weight.to(x.dtype).T
    return functional.linear(x, matrix, bias.to(x.dtype))


LAYERS: dict[str, Layer] = {
    "Conv": _conv,
    "Mul": lambda i, a: i[0] * i[1].to(i[0].dtype),
    "Add": lambda i, a: i[0] + i[1].to(i[0].dtype),
    "Sigmoid": lambda i, a: torch.sigmoid(i[0]),
    "Relu": lambda i, a: functional.relu(i[0]),
    "Identity": lambda i, a: i[0],
    "Concat": lambda i, a: torch.cat(i, dim=a["axis"]),
    "Pad": _pad,
    "ReduceMean": _mean,
    "Unsqueeze": _unsqueeze,
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "Gemm": _gemm,
}
