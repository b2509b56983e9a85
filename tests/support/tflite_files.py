"""TensorFlow Lite files as BirdNET's own tool writes them for a classifier that was trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

__all__ = ["DENSE", "Layer", "classifier_on", "dense_classifier", "run"]

Array = NDArray[np.float32]
Layer = tuple[Array, Array]  # weights (out, in), biases (out,)
FLOAT = schema.TensorType.FLOAT32
IDENTIFIER = b"TFL3"
OPERATORS = {
    name: getattr(schema.BuiltinOperator, name)
    for name in ("FULLY_CONNECTED", "LOGISTIC", "CONCATENATION", "MUL", "ADD", "SOFTMAX", "TANH")
}


def _layers(*sizes: int) -> list[Layer]:
    rng = np.random.default_rng(7)
    return [
        (
            (rng.standard_normal((after, before)) / np.sqrt(before)).astype(np.float32),
            rng.standard_normal(after).astype(np.float32),
        )
        for before, after in pairwise(sizes)
    ]


DENSE = {"one": _layers(1024, 3), "hidden": _layers(1024, 32, 3)}


class _Graph:
    """The first graph of a model, to which operators are added."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph = model.subgraphs[0]

    def tensor(self, name: str, shape: Sequence[int], values: Array | None = None) -> int:
        buffer = schema.BufferT()
        if values is not None:
            buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), FLOAT
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add(self, kind: str, inputs: list[int], columns: int, options: Any = None) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind)
        operator.inputs = inputs
        operator.outputs = [self.tensor(f"{kind}{len(self.graph.operators)}", (1, columns))]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.graph.operators.append(operator)
        return int(operator.outputs[0])

    def dense(self, tensor: int, layer: Layer, *, relu: bool = False) -> int:
        weights, biases = layer
        stored = [
            self.tensor("weights", weights.shape, weights),
            self.tensor("biases", biases.shape, biases),
        ]
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = int(relu)
        return self.add("FULLY_CONNECTED", [tensor, *stored], len(weights), options)

    def stack(self, tensor: int, layers: Sequence[Layer]) -> int:
        for i, layer in enumerate(layers):
            tensor = self.dense(tensor, layer, relu=i + 1 < len(layers))
        return tensor

    def together(self, first: int, second: int) -> int:
        columns = sum(self.graph.tensors[t].shape[1] for t in (first, second))
        options = schema.ConcatenationOptionsT()
        options.axis = 1
        return self.add("CONCATENATION", [first, second], columns, options)

    def content(self, output: int) -> bytes:
        self.graph.outputs = [output]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _code(self, kind: str) -> int:
        wanted = OPERATORS[kind]
        for i, code in enumerate(self.model.operatorCodes):
            if code.builtinCode == wanted:
                return i
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = wanted
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1


def dense_classifier(
    layers: Sequence[Layer], *, takes: int = 1024, tail: str = "", folded: bool = False
) -> bytes:
    """Return the layers alone, which take an embedding of so many numbers.

    `folded` puts a normalisation before them, `tail` names an operator behind them.
    """
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    model.subgraphs = [graph]
    built = _Graph(model)
    tensor = built.tensor("embedding", (1, takes))
    graph.inputs = [tensor]
    if folded:
        for kind, value in (("MUL", 0.5), ("ADD", 0.1)):
            numbers = np.full(takes, value, np.float32)
            stored = built.tensor(kind.lower(), (takes,), numbers)
            options = getattr(schema, f"{kind.capitalize()}OptionsT")()
            tensor = built.add(kind, [tensor, stored], takes, options)
    tensor = built.stack(tensor, layers)
    return built.content(built.add(tail, [tensor], len(layers[-1][1])) if tail else tensor)


def classifier_on(
    birdnet: Path,
    layers: Sequence[Layer],
    *,
    append: bool = False,
    tail: str = "",
    nudge: float = 0.0,
) -> bytes:
    """Return BirdNET with the layers in place of its own labels, or in addition to them.

    A `nudge` is added to a weight of BirdNET.
    """
    model = schema.ModelT.InitFromPackedBuf(birdnet.read_bytes(), 0)
    built = _Graph(model)
    last = built.graph.operators[-1]
    if nudge:
        convolution = built.graph.operators[-3]
        buffer = model.buffers[built.graph.tensors[convolution.inputs[1]].buffer]
        weights = np.array(buffer.data, np.uint8).view(np.float32).copy()
        weights[0] += nudge
        buffer.data = weights.view(np.uint8)
    if not append:
        built.graph.operators.pop()
    tensor = built.stack(int(last.inputs[0]), layers)
    if append:
        tensor = built.together(int(last.outputs[0]), tensor)
    columns = built.graph.tensors[tensor].shape[1]
    model.signatureDefs = []
    return built.content(built.add(tail, [tensor], columns) if tail else tensor)


def run(content: bytes, rows: Array) -> Array:
    """Return what LiteRT gives for each row."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for row in rows:
        interpreter.set_tensor(given["index"], row[np.newaxis])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output["index"])[0].copy())
    return np.stack(answers)
