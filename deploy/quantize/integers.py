"""The body of a network in 8-bit integers, with ranges from real windows.

Its convolutions stand between QuantizeLinear and DequantizeLinear. For TensorRT both activations
and weights are symmetric, so that every zero point is 0, and the pairs stand on the inputs: what
lies between two convolutions is fused there. For ONNX Runtime on a CPU activations are unsigned,
which its kernels are fastest with, and weights have 7 bits: a processor without VNNI adds two
products in 16 bits, and products of 8-bit weights would overflow them unnoticed.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from deploy.quantize.graphs import batches
from edge.errors import UserError

__all__ = ["quantised"]

# Operators of the body that have kernels for integers; the others compute in fp32 (or fp16) from
# their results. A Relu is part of the convolution before it: TensorRT recognises that by itself, to
# ONNX Runtime's quantiser it has to be named.
WITH_KERNELS = ("Conv", "MaxPool", "Concat", "Add")
# A convolution of fewer channels adds too few products to gain by it: measured, it was slower than
# in fp32, and cost accuracy.
LEAST_CHANNELS = 4
SYMMETRIC = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "OpTypesToExcludeOutputQuantization": list(WITH_KERNELS),
}


def quantised(
    model: onnx.ModelProto,
    inside: Sequence[str],
    windows: NDArray[np.float32],
    *,
    runs_on: Literal["onnx", "tensorrt"],
) -> onnx.ModelProto:
    """Return the graph with those of the nodes named `inside` quantised that gain by it.

    The range of each tensor is what it spans over `windows` (n, C, F, T). Raises `UserError` when
    there are none.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    on_cpu = runs_on == "onnx"
    nodes = _worth_it(model, inside, (*WITH_KERNELS, "Relu") if on_cpu else WITH_KERNELS)
    if not nodes:
        raise UserError("the network has no convolution that 8-bit integers would make faster")
    with tempfile.TemporaryDirectory(prefix="edge-quantize-") as folder, _quiet():
        out = Path(folder, "model.onnx")
        quantize_static(
            onnx.shape_inference.infer_shapes(model),
            out,
            _Feed(model.graph.input[0].name, windows),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=on_cpu,
            activation_type=QuantType.QUInt8 if on_cpu else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={} if on_cpu else SYMMETRIC,
        )
        result = onnx.load(out)
    del result.metadata_props[:]
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    return result


def _worth_it(model: onnx.ModelProto, inside: Sequence[str], operators: Sequence[str]) -> list[str]:
    """Return the names of the body's nodes to quantise.

    They are convolutions of enough channels, and what computes from their results.
    """
    weights = {initializer.name: initializer for initializer in model.graph.initializer}
    results: set[str] = set()
    names = []
    for node in (node for node in model.graph.node if node.name in inside):
        if node.op_type == "Conv":
            wanted = (
                node.input[1] in weights
                and _channels(node, weights[node.input[1]]) >= LEAST_CHANNELS
            )
        else:
            wanted = bool(results & set(node.input))
        if wanted:
            results |= set(node.output)
            names += [node.name] if node.op_type in operators else []
    return names


def _channels(node: onnx.NodeProto, weight: onnx.TensorProto) -> int:
    """Return how many channels go into a convolution; its weights hold those of one group."""
    return int(weight.dims[1]) * next((int(a.i) for a in node.attribute if a.name == "group"), 1)


class _Feed:
    """Windows to calibrate with, a batch at a time: onnxruntime's `CalibrationDataReader`."""

    def __init__(self, name: str, windows: NDArray[np.float32]) -> None:
        self._batches: Iterator[dict[str, Any]] = ({name: batch} for batch in batches(windows))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._batches

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch, or None after the last."""
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's advice to fold batch normalisations, which the export has done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
