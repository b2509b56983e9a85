"""The part of an ONNX graph that a bundle needs, from the waveform to embedding and logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deploy.importing.onnx_file import graphs_in

__all__ = ["OLD", "Waveform", "finished", "needed", "part_of", "with_free_batch"]

OLD = "source/"  # before each name of the graph as it was, so that none is one of ours
FEATURES, EMBEDDING, LOGITS = "features", "embedding", "logits"
LEAST_NORM = 1e-12  # so that an embedding of zeros stays one
AXES_AS_INPUT = 18  # the opset from which on reductions have it so


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """The input `name` of a graph, which takes windows as `shape` (-1 for their number)."""

    name: str
    shape: tuple[int, ...]


def needed(graph: onnx.GraphProto, tensors: Iterable[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that `tensors` are computed by, in their order, and all names in them."""
    names, kept = set(tensors), []
    for node in reversed(graph.node):
        if names.intersection(node.output):
            kept.append(node)
            names |= _taken(node)
    return kept[::-1], names


def part_of(model: onnx.ModelProto, waveform: Waveform, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return what computes `tensors` of the waveform, as a graph of its own.

    It takes the features of a bundle, (B, 1, 1, samples). Its names are the old ones behind `OLD`.
    """
    nodes, names = needed(model.graph, tensors)
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    graph = part.graph
    graph.name = "network"
    graph.node.extend(nodes)
    graph.initializer.extend(t for t in model.graph.initializer if t.name in names)
    graph.sparse_initializer.extend(
        sparse for sparse in model.graph.sparse_initializer if sparse.values.name in names
    )
    _rename(graph)
    shape = numpy_helper.from_array(np.array(waveform.shape, np.int64), "waveform_shape")
    graph.initializer.append(shape)
    graph.node.insert(0, helper.make_node("Reshape", [FEATURES, shape.name], [OLD + waveform.name]))
    samples = int(np.prod(waveform.shape[1:]))
    graph.input.append(_described(FEATURES, ["batch", 1, 1, samples]))
    graph.output.extend(helper.make_empty_tensor_value_info(OLD + name) for name in tensors)
    return part


def finished(
    part: onnx.ModelProto,
    *,
    embedding: tuple[str, int],
    logits: tuple[str, int],
    logarithms: bool,
) -> onnx.ModelProto:
    """Return the graph with the outputs of a bundle; each is an old name, and its columns.

    The embedding gets the length 1. With `logarithms` the logits become those of the scores of a
    softmax, which does not change the scores.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(part)
    graph, source = whole.graph, OLD + embedding[0]
    floor = numpy_helper.from_array(np.array(LEAST_NORM, np.float32), "least_norm")
    axes = numpy_helper.from_array(np.array([1], np.int64), "columns")
    graph.initializer.append(floor)
    if _opset(whole) >= AXES_AS_INPUT:
        graph.initializer.append(axes)
        norm = helper.make_node("ReduceL2", [source, axes.name], ["norm"], keepdims=1)
    else:
        norm = helper.make_node("ReduceL2", [source], ["norm"], axes=[1], keepdims=1)
    source_of_logits = OLD + logits[0]
    last = helper.make_node("Identity", [source_of_logits], [LOGITS])
    if logarithms:
        last = helper.make_node("LogSoftmax", [source_of_logits], [LOGITS], axis=1)
    graph.node.extend(
        [
            norm,
            helper.make_node("Max", ["norm", floor.name], ["safe_norm"]),
            helper.make_node("Div", [source, "safe_norm"], [EMBEDDING]),
            last,
        ]
    )
    del graph.output[:]
    graph.output.append(_described(EMBEDDING, ["batch", embedding[1]]))
    graph.output.append(_described(LOGITS, ["batch", logits[1]]))
    return whole


def with_free_batch(part: onnx.ModelProto, fixed: int) -> onnx.ModelProto:
    """Return the graph with any number of windows where it was made for a `fixed` one.

    Exporters write that number into the shapes to which tensors are brought.
    """
    free = onnx.ModelProto()
    free.CopyFrom(part)
    stored = {tensor.name: tensor for tensor in free.graph.initializer}
    for node in free.graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            stored[node.output[0]] = node.attribute[0].t
    shapes = {node.input[1] for node in free.graph.node if node.op_type == "Reshape"}
    for name in shapes & stored.keys():
        shape = numpy_helper.to_array(stored[name]).copy()
        if shape.ndim == 1 and len(shape) > 1 and shape[0] == fixed:
            shape[0] = 0 if -1 in shape else -1
            kept_name = stored[name].name
            stored[name].CopyFrom(numpy_helper.from_array(shape, kept_name))
    return free


def _taken(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node takes, with all that the graphs in it do."""
    names = set(node.input)
    for graph in graphs_in(node):
        names.update(output.name for output in graph.output)
        for inner in graph.node:
            names |= _taken(inner)
    return names


def _rename(graph: onnx.GraphProto) -> None:
    """Put `OLD` before every name of a tensor; the empty one is that of an input left out."""
    for node in graph.node:
        node.input[:] = [OLD + name if name else name for name in node.input]
        node.output[:] = [OLD + name if name else name for name in node.output]
        for inner in graphs_in(node):
            _rename(inner)
    described = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for value in (*described, *(sparse.values for sparse in graph.sparse_initializer)):
        value.name = OLD + value.name


def _opset(model: onnx.ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _described(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
