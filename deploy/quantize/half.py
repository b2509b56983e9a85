"""The body of a network in half precision, for TensorRT's strongly typed networks.

The tensors of the body are fp16, those of the front and the tail stay fp32. ONNX Runtime's CPU
provider would compute such a graph in fp32, and so its accuracy is measured on a simulation: the
same graph in fp32, where every number that fp16 would hold is rounded to one that fp16 has. Sums
are in fp32, as in a tensor core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from deploy.quantize.accuracy import Outputs
from deploy.quantize.graphs import run_to_the_letter, serialised
from edge.errors import UserError

__all__ = ["HalfPrecision", "in_half"]

LARGEST = 65504.0  # that fp16 can hold
SMALLEST = np.finfo(np.float16).smallest_subnormal
SUFFIX = "_fp16"
PEAK = "_peak"
QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True)
class HalfPrecision:
    """A network whose body is in fp16: the graph to ship, and a simulation of it in fp32.

    The simulation also has the scalars named `peaks`: the largest magnitude of each tensor of the
    body.
    """

    model: bytes
    simulation: bytes
    peaks: tuple[str, ...]

    def answer(
        self, features: NDArray[np.float32], extra_outputs: Sequence[str], *, name: str
    ) -> Outputs:
        """Return the outputs (n, ...) for features (n, C, F, T), with every number rounded to fp16.

        Raises `UserError`, which begins with `name`, when a number comes too near to the largest
        that fp16 can hold, or is NaN.
        """
        outputs, magnitudes = run_to_the_letter(
            self.simulation, features, extra_outputs, also=self.peaks
        )
        peak, worst = max(magnitudes.items(), key=lambda item: (not np.isfinite(item[1]), item[1]))
        # A recorder will hear louder windows than these, so half of the range is kept free.
        if not worst <= LARGEST / 2:
            raise UserError(
                f"{name}: numbers in the network reach {worst:.3g} (at "
                f"{peak.removesuffix(SUFFIX + PEAK)}), too near to fp16's largest, {LARGEST:g}; "
                "use int8 instead"
            )
        return outputs


def in_half(model: onnx.ModelProto, inside: Sequence[str]) -> HalfPrecision:
    """Return the network with the nodes named `inside` in fp16, and casts where they meet the rest.

    The weights that they use are stored as fp16. Raises `UserError` when there are none, or when
    fp16 cannot hold a weight.
    """
    simulation, peaks = _peaks_of(_Conversion(model, set(inside), real=False).convert())
    if not peaks:
        raise UserError("the network has no convolution, and nothing that fp16 would make faster")
    return HalfPrecision(
        model=serialised(_Conversion(model, set(inside), real=True).convert()),
        simulation=simulation.SerializeToString(),
        peaks=peaks,
    )


def _peaks_of(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a simulation that also gives the largest magnitude of each tensor of its body.

    They are scalars with the names returned.
    """
    probed, names = onnx.ModelProto(), []
    probed.CopyFrom(model)
    for tensor in [
        output for node in model.graph.node for output in node.output if output.endswith(SUFFIX)
    ]:
        magnitude, peak = f"{tensor}_magnitude", f"{tensor}{PEAK}"
        probed.graph.node.append(helper.make_node("Abs", [tensor], [magnitude]))
        probed.graph.node.append(helper.make_node("ReduceMax", [magnitude], [peak], keepdims=0))
        probed.graph.output.append(helper.make_tensor_value_info(peak, TensorProto.FLOAT, []))
        names.append(peak)
    return probed, tuple(names)


@dataclass
class _Conversion:
    """The conversion of one graph: to real fp16, or to its simulation in fp32."""

    model: onnx.ModelProto
    inside: set[str]
    real: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)  # tensors that exist in fp16, by their fp32 name

    def __post_init__(self) -> None:
        inferred = onnx.shape_inference.infer_shapes(self.model)
        values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self.types |= {
            initializer.name: initializer.data_type for initializer in self.model.graph.initializer
        }
        self.constants = {
            initializer.name: initializer for initializer in self.model.graph.initializer
        }
        self._take_in_quantising_nodes()
        outside = [node for node in self.model.graph.node if node.name not in self.inside]
        self.wanted = {name for node in outside for name in node.input} | {
            output.name for output in self.model.graph.output
        }

    def convert(self) -> onnx.ModelProto:
        """Return the graph with the nodes named `inside` converted."""
        for node in self.model.graph.node:
            if node.name in self.inside:
                self._convert(node)
            else:
                self.nodes.append(node)
        result = onnx.ModelProto()
        result.CopyFrom(self.model)
        del result.graph.node[:], result.graph.initializer[:], result.graph.value_info[:]
        result.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        result.graph.initializer.extend(
            tensor for name, tensor in self.constants.items() if name in used
        )
        result.graph.initializer.extend(self.weights.values())
        return result

    def _take_in_quantising_nodes(self) -> None:
        """Make quantising nodes at the border part of the body.

        They are each DequantizeLinear that only the body reads, and each QuantizeLinear of what the
        body or a constant gives. So the integers themselves cross the border, which needs no cast.
        """
        # A graph's output is read by "", which is the name of no node.
        readers: dict[str, list[str]] = {output.name: [""] for output in self.model.graph.output}
        makers = {output: node for node in self.model.graph.node for output in node.output}
        for node in self.model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node.name)
        for node in reversed(self.model.graph.node):
            if (
                node.op_type == "DequantizeLinear"
                and set(readers.get(node.output[0], ())) <= self.inside
            ):
                self.inside.add(node.name)
        for node in self.model.graph.node:
            if node.op_type == "QuantizeLinear":
                maker = makers.get(node.input[0])
                if node.input[0] in self.constants or (
                    maker is not None and maker.name in self.inside
                ):
                    self.inside.add(node.name)

    def _convert(self, node: onnx.NodeProto) -> None:
        converted = onnx.NodeProto()
        converted.CopyFrom(node)
        for i, name in enumerate(node.input):
            if name and self.types.get(name) == TensorProto.FLOAT:
                converted.input[i] = self._input(node, name)
        halves = [name for name in node.output if self.types.get(name) == TensorProto.FLOAT]
        for i, name in enumerate(node.output):
            if name in halves:
                converted.output[i] = f"{name}{SUFFIX}" if self.real else f"{name}_exact"
        self.nodes.append(converted)
        for name in halves:
            self.here.add(name)
            if not self.real:
                self._through_fp16(f"{name}_exact", name)
            if name in self.wanted:
                self.nodes.append(_cast(f"{name}{SUFFIX}", name, TensorProto.FLOAT))

    def _input(self, node: onnx.NodeProto, name: str) -> str:
        half = f"{name}{SUFFIX}"
        if name in self.constants:
            self.weights[half] = self._weight(
                self.constants[name],
                half,
                scale=node.op_type in QUANTISING and name == node.input[1],
            )
        elif name not in self.here:
            self.here.add(name)
            if self.real:
                self.nodes.append(_cast(name, half, TensorProto.FLOAT16))
            else:
                self._through_fp16(name, name)
        return half

    def _through_fp16(self, source: str, name: str) -> None:
        self.nodes.append(_cast(source, f"{name}_cast", TensorProto.FLOAT16))
        self.nodes.append(_cast(f"{name}_cast", f"{name}{SUFFIX}", TensorProto.FLOAT))

    def _weight(self, tensor: onnx.TensorProto, name: str, *, scale: bool) -> onnx.TensorProto:
        values: NDArray[np.float32] = numpy_helper.to_array(tensor)
        if float(np.abs(values).max(initial=0.0)) > LARGEST:
            raise UserError(
                f"{tensor.name}: a weight is larger than {LARGEST:g}, which fp16 cannot hold; use "
                "int8 instead"
            )
        half = values.astype(np.float16)
        if scale:  # one that rounds to 0 would be divided by
            half = np.maximum(half, SMALLEST)
        return numpy_helper.from_array(half if self.real else half.astype(np.float32), name)


def _cast(source: str, name: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [name], name=f"{name}_from_{source}", to=to)
