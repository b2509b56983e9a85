"""Dense layers behind an embedding, from TensorFlow Lite to ONNX: a classifier that was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from deploy.importing.tflite_file import Operator, TfliteFile
from edge.errors import SpecError

__all__ = ["DenseLayers", "dense_layers"]

Array = NDArray[np.float32]
EMBEDDING, LOGITS = "embedding", "logits"
OLD = "classifier/"  # before the names of its tensors, so that none is that of another
FUSED = {0: "", 1: "Relu"}  # activations of an operator itself
UNARY = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "TANH": "Tanh"}
ARITHMETIC = {"ADD": "Add", "MUL": "Mul", "SUB": "Sub"}
OF_TWO = ("FULLY_CONNECTED", *ARITHMETIC)
SAME = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "IDENTITY")  # rows stay the same rows
DEEPEST = 32  # layers


@dataclass(kw_only=True)
class DenseLayers:
    """ONNX nodes from `embedding` to `logits`, with what they hold; `columns` of the logits."""

    columns: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)


def dense_layers(file: TfliteFile, is_embedding: Callable[[int], bool]) -> DenseLayers:
    """Return the layers from a tensor that is the embedding to the only output of the file.

    A sigmoid at the end is left out, because a bundle's logits are what it takes. Raises
    `SpecError` for anything but dense layers.
    """
    outputs = file.outputs
    if len(outputs) != 1:
        raise SpecError(f"it has {len(outputs)} outputs, and one is expected")
    reader = _Reader(file, is_embedding)
    name, columns = reader.linear(outputs[0], 0)
    layers = reader.layers
    layers.nodes.append(helper.make_node("Identity", [name], [LOGITS]))
    layers.columns = columns
    return layers


class _Reader:
    """Goes from the output to the embedding, and makes a node on each way back."""

    def __init__(self, file: TfliteFile, is_embedding: Callable[[int], bool]) -> None:
        self._file = file
        self._is_embedding = is_embedding
        self._producers: Mapping[int, Operator] = {op.output: op for op in file.operators()}
        self._done: dict[int, tuple[str, int]] = {}
        self.layers = DenseLayers()

    def linear(self, tensor: int, depth: int) -> tuple[str, int]:
        """Return name and columns of what scores were made of, each part of it by itself."""
        operator = self._producer(tensor)
        if operator is not None and operator.name in (*SAME, "LOGISTIC"):
            return self.linear(operator.inputs[0], self._deeper(depth))
        if operator is not None and operator.name == "CONCATENATION":
            return self._concatenation(operator, self.linear, depth)
        return self.value(tensor, depth)

    def value(self, tensor: int, depth: int) -> tuple[str, int]:
        """Return the ONNX name of a tensor, and its columns."""
        if tensor not in self._done:
            self._done[tensor] = self._value(tensor, self._deeper(depth))
        return self._done[tensor]

    def _value(self, tensor: int, depth: int) -> tuple[str, int]:
        if self._is_embedding(tensor):
            return EMBEDDING, self._columns(tensor)
        operator = self._producer(tensor)
        if operator is None:
            raise SpecError("it does not begin with the embedding")
        if operator.name in SAME:
            return self.value(operator.inputs[0], depth)
        if operator.name == "FULLY_CONNECTED":
            return self._dense(operator, depth)
        if operator.name in UNARY:
            name, columns = self.value(operator.inputs[0], depth)
            return self._node(UNARY[operator.name], [name], tensor), columns
        if operator.name in ARITHMETIC:
            return self._arithmetic(operator, depth)
        if operator.name == "CONCATENATION":
            return self._concatenation(operator, self.value, depth)
        raise SpecError(f"it has the operator {operator.name} behind the embedding")

    def _producer(self, tensor: int) -> Operator | None:
        """Return the operator that computes a tensor, which takes as much as it needs."""
        operator = self._producers.get(tensor)
        if operator is not None and len(operator.inputs) < 1 + (operator.name in OF_TWO):
            raise SpecError(f"its {operator.name} takes too few tensors")
        return operator

    def _columns(self, tensor: int) -> int:
        shape = self._file.shape(tensor)
        if len(shape) != 2:
            raise SpecError(f"its embedding has the shape {shape}")
        return shape[1]

    def _dense(self, operator: Operator, depth: int) -> tuple[str, int]:
        name, columns = self.value(operator.inputs[0], depth)
        weights = self._constant(operator.inputs[1])
        if weights.ndim != 2 or weights.shape[1] != columns:
            raise SpecError(f"it has a layer of {weights.shape} weights for {columns} numbers")
        inputs = [name, self._stored(operator.inputs[1], weights)]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            inputs.append(self._stored(operator.inputs[2], self._constant(operator.inputs[2])))
        output = self._node("Gemm", inputs, operator.output, transB=1)
        return self._fused(operator, "FullyConnectedOptions", output), len(weights)

    def _arithmetic(self, operator: Operator, depth: int) -> tuple[str, int]:
        """Return what a number for each column does to a row, as a folded normalisation does."""
        first, second = operator.inputs[:2]
        if operator.name != "SUB" and self._file.constant(first) is not None:
            first, second = second, first
        constant = self._constant(second).reshape(-1)
        name, columns = self.value(first, depth)
        if constant.size not in (1, columns):
            raise SpecError(f"it has {constant.size} numbers for {columns} columns")
        inputs = [name, self._stored(second, constant)]
        output = self._node(ARITHMETIC[operator.name], inputs, operator.output)
        return self._fused(operator, f"{operator.name.capitalize()}Options", output), columns

    def _concatenation(
        self, operator: Operator, part: Callable[[int, int], tuple[str, int]], depth: int
    ) -> tuple[str, int]:
        axis = self._file.options(operator, "ConcatenationOptions").Axis()
        if axis not in (1, -1):
            raise SpecError(f"it puts tensors together along the axis {axis}")
        parts = [part(tensor, self._deeper(depth)) for tensor in operator.inputs]
        names = [name for name, _ in parts]
        output = self._node("Concat", names, operator.output, axis=1)
        return output, sum(columns for _, columns in parts)

    def _fused(self, operator: Operator, kind: str, output: str) -> str:
        activation = self._file.options(operator, kind).FusedActivationFunction()
        if activation not in FUSED:
            raise SpecError(f"it has the activation {activation}, and ReLU is expected")
        if not FUSED[activation]:
            return output
        self.layers.nodes.append(
            helper.make_node(FUSED[activation], [output], [f"{output}_active"])
        )
        return f"{output}_active"

    def _constant(self, tensor: int) -> Array:
        """Return weights, which may be stored in 16 bits."""
        operator = self._producer(tensor)
        if operator is not None and operator.name == "DEQUANTIZE":
            tensor = operator.inputs[0]
        constant = self._file.constant(tensor)
        if constant is None:
            raise SpecError("it has a layer whose weights are computed")
        if not np.isfinite(constant).all():
            raise SpecError("it has weights that are NaN or infinite")
        return constant.astype(np.float32)

    def _stored(self, tensor: int, values: Array) -> str:
        name = f"{OLD}{tensor}"
        if name not in {stored.name for stored in self.layers.stored}:
            self.layers.stored.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, kind: str, inputs: list[str], tensor: int, **options: int) -> str:
        output = f"{OLD}{tensor}"
        node = helper.make_node(kind, inputs, [output])
        node.attribute.extend(helper.make_attribute(k, v) for k, v in options.items())
        self.layers.nodes.append(node)
        return output

    @staticmethod
    def _deeper(depth: int) -> int:
        if depth >= DEEPEST:
            raise SpecError(f"it has more than {DEEPEST} layers behind the embedding")
        return depth + 1
