"""An ONNX file that somebody else has made, whole in memory, with weights that stand beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import external_data_helper as external

from edge.bundle.graph import LARGEST_GRAPH_BYTES, refuse_strange_graph
from edge.errors import BundleError, SpecError, one_line, shown

__all__ = ["content_for_a_bundle", "content_of", "graphs_in", "nodes_of", "read_model"]

LARGEST_FILE_BYTES = 1_900_000_000  # a message of Protocol Buffers has 2 GB at most
OLDEST_OPSET = 9
DEFAULT_DOMAINS = ("", "ai.onnx")
COPY_IT = "copy what belongs to it into the same folder"


def content_of(file: Path, *, most_bytes: int = LARGEST_FILE_BYTES) -> bytes:
    """Return the content of a file; raises `BundleError`, also for one that is too large."""
    try:
        if file.stat().st_size > most_bytes:
            raise BundleError(f"{file}: is larger than {most_bytes // 1_000_000} MB")
        return file.read_bytes()
    except OSError as exc:
        raise BundleError(f"{file}: cannot be read ({exc.strerror or exc})") from exc


def read_model(file: Path, content: bytes) -> onnx.ModelProto:
    """Return the model in the `content` of a file, with all of its weights.

    Raises `BundleError` for what is no ONNX file, for one of an opset that nothing runs, and for
    weights that are missing.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as exc:
        raise BundleError(f"{file}: is no ONNX file, or is cut off") from exc
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise BundleError(f"{file}: is no ONNX file, it has no graph with outputs")
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise BundleError(f"{file}: is damaged, it has names that are no text")
    opset = max((o.version for o in model.opset_import if o.domain in DEFAULT_DOMAINS), default=0)
    if opset < OLDEST_OPSET:
        raise BundleError(
            f"{file}: has opset {opset}, and {OLDEST_OPSET} is the oldest that can be taken",
            suggestion="export it again with a newer opset",
        )
    _take_in_weights(file, model)
    return model


def content_for_a_bundle(file: Path, model: onnx.ModelProto) -> bytes:
    """Return the model that `file` has become as the content of a bundle's graph.

    Raises `BundleError` for what no bundle may have, such as loops, and for one that is too large.
    """
    try:
        content: bytes = model.SerializeToString(deterministic=True)
        refuse_strange_graph(content)
    except (EncodeError, ValueError) as exc:  # among them more than 2 GB
        raise BundleError(f"{file}: {one_line(str(exc))}") from exc
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}") from exc
    if len(content) > LARGEST_GRAPH_BYTES:
        raise BundleError(
            f"{file}: what a bundle needs of it has {len(content) // 1_000_000} MB, more than "
            f"{LARGEST_GRAPH_BYTES // 1_000_000} MB"
        )
    return content


def nodes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those of the graphs in them."""
    for node in nodes:
        yield node
        for inner in graphs_in(node):
            yield from nodes_of(inner.node)


def graphs_in(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node has as attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _take_in_weights(file: Path, model: onnx.ModelProto) -> None:
    """Read what the model has in files beside it into the model itself."""
    folder = file.parent.resolve()
    for tensor in _tensors(model):
        if not external.uses_external_data(tensor):
            continue
        location = external.ExternalDataInfo(tensor).location
        beside = Path(folder, location)
        if not (beside.is_file() and beside.resolve().is_relative_to(folder)):
            raise BundleError(
                f"{file}: has weights in {shown(location)}, which is no file beside it",
                suggestion=COPY_IT,
            )
        try:
            external.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as exc:
            raise BundleError(
                f"{file}: its weights in {shown(location)} cannot be read ({one_line(str(exc))})",
                suggestion=COPY_IT,
            ) from exc


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that may have its numbers in another file."""
    yield from _stored(model.graph)
    of_functions = (node for function in model.functions for node in function.node)
    for node in nodes_of((*model.graph.node, *of_functions)):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for graph in graphs_in(node):
            yield from _stored(graph)


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    """Yield all names in a graph; Protocol Buffers gives bytes for what is not UTF-8."""
    for node in nodes_of(graph.node):
        yield from (node.op_type, node.domain, *node.input, *node.output)
        for inner in graphs_in(node):
            yield from (value.name for value in (*inner.input, *inner.output, *inner.initializer))
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.name for tensor in _stored(graph))


def _stored(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
