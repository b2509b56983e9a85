"""The layers of a convolutional network from TensorFlow Lite to ONNX, operator by operator.

TensorFlow has channels last, ONNX second. Its padding `SAME` depends on the size of what is padded,
which is why sizes are followed through the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from deploy.importing.tflite_file import Operator, TfliteFile
from edge.errors import BundleError

__all__ = ["network_of"]

OPSET = 18
IR_VERSION = 10
SAME = 0
ACTIVATIONS = {1: "Relu"}
# They compute shapes that are known here.
OF_SHAPES = ("SHAPE", "STRIDED_SLICE", "PACK")
Size = tuple[int, ...]  # of a feature map: channels, height, width


class _Converter:
    """Converts one operator after another; `names` are the ONNX values of tensors."""

    def __init__(self, file: TfliteFile, features: int, size: Size) -> None:
        self._file = file
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.names = {features: "features"}
        self.sizes: dict[int, Size] = {features: size}
        self._kinds: dict[str, Callable[[Operator], None]] = {
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._convolution,
            "ADD": self._arithmetic,
            "MUL": self._arithmetic,
            "LOGISTIC": self._sigmoid,
            "MEAN": self._mean,
            "RESHAPE": self._reshape,
            "PAD": self._pad,
            "AVERAGE_POOL_2D": self._pool,
            "MAX_POOL_2D": self._pool,
            "CONCATENATION": self._concatenation,
            "FULLY_CONNECTED": self._dense,
        }

    def convert(self, operator: Operator) -> None:
        if operator.name in OF_SHAPES:
            return
        if operator.name not in self._kinds:
            raise BundleError(f"the operator {operator.name} is not one of this network")
        self._kinds[operator.name](operator)

    def _convolution(self, operator: Operator) -> None:
        depthwise = operator.name == "DEPTHWISE_CONV_2D"
        kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        options = self._file.options(operator, kind)
        channels, *size = self.sizes[operator.inputs[0]]
        weights = self._weights(operator.inputs[1])
        kernel = weights.shape[1:3]
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        strides = (options.StrideH(), options.StrideW())
        pads, size = _padded(size, kernel, strides, options.Padding())
        inputs = self._weighted(operator, weights)
        self._add(
            "Conv",
            inputs,
            operator.output,
            activation=options.FusedActivationFunction(),
            strides=strides,
            pads=pads,
            group=channels if depthwise else 1,
        )
        self.sizes[operator.output] = (len(weights), *size)

    def _arithmetic(self, operator: Operator) -> None:
        kind = "AddOptions" if operator.name == "ADD" else "MulOptions"
        options = self._file.options(operator, kind)
        inputs = [self._value(tensor) for tensor in operator.inputs]
        name = "Add" if operator.name == "ADD" else "Mul"
        activation = options.FusedActivationFunction()
        self._add(name, inputs, operator.output, activation=activation)
        sizes = [self.sizes[tensor] for tensor in operator.inputs if tensor in self.sizes]
        self.sizes[operator.output] = max(sizes, key=lambda size: int(np.prod(size)))

    def _sigmoid(self, operator: Operator) -> None:
        self._add("Sigmoid", [self.names[operator.inputs[0]]], operator.output)
        self.sizes[operator.output] = self.sizes[operator.inputs[0]]

    def _mean(self, operator: Operator) -> None:
        axes = self._stored(f"axes{operator.output}", np.array([2, 3], np.int64))
        inputs = [self.names[operator.inputs[0]], axes]
        self._add("ReduceMean", inputs, operator.output, keepdims=0)
        self.sizes[operator.output] = self.sizes[operator.inputs[0]][:1]

    def _reshape(self, operator: Operator) -> None:
        """Give the means of channels a height and a width of 1 again."""
        axes = self._stored(f"axes{operator.output}", np.array([2, 3], np.int64))
        inputs = [self.names[operator.inputs[0]], axes]
        self._add("Unsqueeze", inputs, operator.output)
        self.sizes[operator.output] = (self.sizes[operator.inputs[0]][0], 1, 1)

    def _pad(self, operator: Operator) -> None:
        before_after = self._file.constant(operator.inputs[1])
        assert before_after is not None
        pads = before_after[[0, 3, 1, 2]].astype(np.int64)
        stored = self._stored(f"pads{operator.output}", np.concatenate([pads[:, 0], pads[:, 1]]))
        self._add("Pad", [self.names[operator.inputs[0]], stored], operator.output)
        channels, height, width = self.sizes[operator.inputs[0]]
        added = pads.sum(axis=1)
        self.sizes[operator.output] = (channels, height + int(added[2]), width + int(added[3]))

    def _pool(self, operator: Operator) -> None:
        options = self._file.options(operator, "Pool2DOptions")
        channels, *size = self.sizes[operator.inputs[0]]
        kernel = (options.FilterHeight(), options.FilterWidth())
        strides = (options.StrideH(), options.StrideW())
        pads, size = _padded(size, kernel, strides, options.Padding())
        name = "AveragePool" if operator.name == "AVERAGE_POOL_2D" else "MaxPool"
        self._add(
            name,
            [self.names[operator.inputs[0]]],
            operator.output,
            kernel_shape=kernel,
            strides=strides,
            pads=pads,
        )
        self.sizes[operator.output] = (channels, *size)

    def _concatenation(self, operator: Operator) -> None:
        inputs = [self.names[tensor] for tensor in operator.inputs]
        self._add("Concat", inputs, operator.output, axis=1)
        sizes = [self.sizes[tensor] for tensor in operator.inputs]
        self.sizes[operator.output] = (sum(size[0] for size in sizes), *sizes[0][1:])

    def _dense(self, operator: Operator) -> None:
        weights = self._weights(operator.inputs[1])
        inputs = self._weighted(operator, weights)
        self._add("Gemm", inputs, operator.output, transB=1)
        self.sizes[operator.output] = (len(weights),)

    def _weighted(self, operator: Operator, weights: NDArray[np.float32]) -> list[str]:
        """Return the inputs of a layer: what comes in, its weights, and a bias where it has one."""
        inputs = [self.names[operator.inputs[0]], self._stored(f"w{operator.output}", weights)]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            bias = self._weights(operator.inputs[2])
            inputs.append(self._stored(f"b{operator.output}", bias))
        return inputs

    def _value(self, tensor: int) -> str:
        """Return the name of an operand: a feature map, or one number for each channel."""
        if tensor not in self.names:
            constant = self._weights(tensor)
            shaped = constant.reshape(-1, 1, 1) if constant.size > 1 else constant.reshape(())
            self.names[tensor] = self._stored(f"c{tensor}", shaped)
        return self.names[tensor]

    def _weights(self, tensor: int) -> NDArray[np.float32]:
        constant = self._file.constant(tensor)
        if constant is None:
            raise BundleError(f"tensor {tensor} is no constant")
        return constant.astype(np.float32)

    def _stored(self, name: str, values: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(
        self, kind: str, inputs: Sequence[str], tensor: int, *, activation: int = 0, **options: Any
    ) -> None:
        name = f"t{tensor}"
        self.names[tensor] = name
        if not activation:
            self.nodes.append(helper.make_node(kind, inputs, [name], **options))
            return
        if activation not in ACTIVATIONS:
            raise BundleError(f"the activation {activation} is not one of this network")
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_linear"], **options))
        self.nodes.append(helper.make_node(ACTIVATIONS[activation], [f"{name}_linear"], [name]))


def network_of(
    file: TfliteFile, *, features: int, size: Size, embedding: int, logits: int
) -> bytes:
    """Return the layers behind the tensor `features` as an ONNX graph.

    `size` is that of a window's features (channels, bands, frames). The tensors `embedding` and
    `logits` become its outputs.
    """
    converter = _Converter(file, features, size)
    begun = False
    for operator in file.operators():
        begun = begun or features in operator.inputs
        if begun:
            converter.convert(operator)
    outputs = {"embedding": embedding, "logits": logits}
    nodes = [
        *converter.nodes,
        *(helper.make_node("Identity", [converter.names[t]], [n]) for n, t in outputs.items()),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [_described("features", size)],
        [_described(name, converter.sizes[tensor]) for name, tensor in outputs.items()],
        converter.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _described(name: str, size: Size) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *size])


def _padded(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], padding: int
) -> tuple[list[int], list[int]]:
    """Return ONNX's pads of height and width, and the size of what comes out."""
    before, after, out = [], [], []
    for length, width, stride in zip(size, kernel, strides, strict=True):
        if padding == SAME:
            count = -(-length // stride)
            missing = max((count - 1) * stride + width - length, 0)
        else:
            count, missing = (length - width) // stride + 1, 0
        before.append(missing // 2)
        after.append(missing - missing // 2)
        out.append(count)
    return [*before, *after], out
