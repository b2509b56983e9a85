"""The body of a network in whole numbers: QuantizeLinear and DequantizeLinear around its convolutions, ranges from real windows.

For TensorRT both activations and weights are symmetric, so that every zero point is 0, and the pairs stand on the inputs: what lies
between two convolutions is fused there. For ONNX Runtime on a CPU activations are unsigned, which its kernels are fastest with, and
weights have 7 bits: a processor without VNNI adds two products in 16 bits, which two of 8 bits overflow without a word.
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

from deploy.graphs import batches
from edge.errors import UserError

__all__ = ["quantised"]

# Operators of the body that have kernels for whole numbers; the others work on what these leave in fp32 (or fp16).
WHOLE = ("Conv", "MaxPool", "Concat", "Add")
SYMMETRIC = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "OpTypesToExcludeOutputQuantization": list(WHOLE),
}


def quantised(
    model: onnx.ModelProto, inside: Sequence[str], windows: NDArray[np.float32], *, runs_on: Literal["onnx", "tensorrt"]
) -> onnx.ModelProto:
    """Quantise the nodes named `inside`; the range of each tensor is what it spans over `windows` (n, C, F, T)."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    nodes = [node.name for node in model.graph.node if node.name in inside and node.op_type in WHOLE]
    if not nodes:
        raise UserError("the network has no convolution, and nothing that whole numbers would make faster")
    on_cpu = runs_on == "onnx"
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


class _Feed:
    """Windows to calibrate with, a batch at a time: onnxruntime's `CalibrationDataReader`."""

    def __init__(self, name: str, windows: NDArray[np.float32]) -> None:
        self._batches: Iterator[dict[str, Any]] = ({name: batch} for batch in batches(windows))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._batches

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, None after the last."""
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """The root logger is advised by onnxruntime to fold batch normalisations first; the export has done so."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
