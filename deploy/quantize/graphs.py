"""ONNX graphs: reading and writing them, what they are made of, and running them over windows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deploy.quantize.accuracy import Outputs
from edge.backends.base import OUTPUTS
from edge.backends.onnx import OnnxBackend
from edge.errors import BundleError, UserError
from edge.extras import how_to_install

if TYPE_CHECKING:
    import onnx

__all__ = [
    "at_opset",
    "batches",
    "body",
    "load_onnx",
    "run_as_recorded",
    "run_to_the_letter",
    "serialised",
]

BATCH = 32
Array = NDArray[np.float32]

# The body is what takes the time and tolerates coarser numbers: convolutions and what lies between
# them. What comes before (the front's normalisation) and after (pooling over time, embedding,
# norms, logits) stays in fp32.
CONVOLUTIONS = ("Conv", "ConvTranspose")
BETWEEN = (
    *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "Flatten"),
    *("GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu"),
    *("MaxPool", "Mul", "PRelu", "Relu", "Reshape", "Sigmoid", "Squeeze", "Transpose"),
    "Unsqueeze",
)


def load_onnx(model: bytes) -> onnx.ModelProto:
    """Return the graph with every node named; raises `UserError` where onnx is not installed."""
    try:
        import onnx
    except ImportError as exc:
        raise UserError(
            "this command needs the package onnx, which a recorder does not: "
            f"{how_to_install('quantize')}"
        ) from exc
    return _name_nodes(onnx.load_model_from_string(model))


def at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the graph with the operators of `opset`, or as it is where it has those of a newer."""
    from onnx import version_converter

    present = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if present >= opset:
        return model
    return _name_nodes(version_converter.convert_version(model, opset))


def serialised(model: onnx.ModelProto) -> bytes:
    """Return the graph as a file, always the same; raises onnx's error where it is not valid."""
    import onnx

    # It also checks that every operator takes the types that it is given.
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _name_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node a name of its own; quantisation and `body` go by names."""
    seen: set[str] = set()
    for i, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{i}"
        seen.add(node.name)
    return model


def body(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes of the body, in their order."""
    constants = {initializer.name for initializer in model.graph.initializer} | {""}
    constants |= {
        output for node in model.graph.node if node.op_type == "Constant" for output in node.output
    }
    inside: set[str] = set()
    names = []
    for node in model.graph.node:
        flowing = set(node.input) - constants
        between = node.op_type in BETWEEN and flowing and flowing <= inside
        if node.op_type in CONVOLUTIONS or between:
            inside |= set(node.output)
            names.append(node.name)
    return names


def run_as_recorded(model: bytes, features: Array, extra_outputs: Sequence[str] = ()) -> Outputs:
    """Return the outputs (n, ...) for features (n, C, F, T) from the engine that a recorder uses.

    It computes with the kernels of this machine. `extra_outputs` names the outputs that are wanted
    besides embedding and logits.
    """
    with tempfile.TemporaryDirectory(prefix="edge-quantize-") as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(model)
        backend = OnnxBackend(file, threads=os.cpu_count() or 1)
        parts = [
            backend.infer_named(batch, (*OUTPUTS, *extra_outputs)) for batch in batches(features)
        ]
    return _outputs(parts, extra_outputs)


def run_to_the_letter(
    model: bytes, features: Array, extra_outputs: Sequence[str] = (), also: tuple[str, ...] = ()
) -> tuple[Outputs, dict[str, float]]:
    """Return the outputs (n, ...) for features (n, C, F, T), computed operator by operator.

    None are fused, so quantised numbers are computed with in float, and no kernel's shortcut is
    measured. Also returns the largest value over all batches of each of the scalars named `also`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # ONNX Runtime's exceptions share no base class of their own
        raise BundleError(
            f"ONNX Runtime cannot load the converted network ({str(exc).splitlines()[0]})"
        ) from exc
    arrays = [*OUTPUTS, *extra_outputs]
    name = session.get_inputs()[0].name
    parts: list[list[Any]] = [
        session.run([*arrays, *also], {name: batch}) for batch in batches(features)
    ]
    scalars = zip(*(part[len(arrays) :] for part in parts), strict=True)
    # By numpy's own maximum, which a NaN passes through.
    largest = {name: float(np.max(values)) for name, values in zip(also, scalars, strict=True)}
    return _outputs([part[: len(arrays)] for part in parts], extra_outputs), largest


def _outputs(parts: Sequence[Sequence[Array]], extra_outputs: Sequence[str]) -> Outputs:
    """Return the batches as one."""
    embedding, logits, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Outputs(
        embedding=embedding,
        logits=logits,
        extra_outputs=dict(zip(extra_outputs, others, strict=True)),
    )


def batches(features: Array) -> Iterator[Array]:
    """Yield features (n, C, F, T) a few at a time, so that a wide network fits into memory."""
    for first in range(0, len(features), BATCH):
        yield features[first : first + BATCH]
