"""What is looked for in a graph before ONNX Runtime or TensorRT reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from edge.bundle import load_bundle
from edge.bundle.graph import FIELDS, refuse_strange_graph
from edge.errors import SpecError
from edge.models import default_bundle_path

# The messages of onnx.proto on the way to a tensor, and what they are called here.
NAMES = {
    "ModelProto": "model",
    "TrainingInfoProto": "training",
    "FunctionProto": "function",
    "GraphProto": "graph",
    "NodeProto": "node",
    "AttributeProto": "attribute",
    "SparseTensorProto": "sparse",
    "TensorProto": "tensor",
}


def test_the_way_to_the_tensors_is_that_of_onnx() -> None:
    found: dict[str, dict[int, str]] = {}
    waiting: list[Any] = [onnx.ModelProto.DESCRIPTOR]
    while waiting:
        message = waiting.pop()
        if message.name in found:
            continue
        fields = {f.number: f.message_type for f in message.fields if f.message_type is not None}
        found[message.name] = {n: m.name for n, m in fields.items() if _leads_to_a_tensor(m)}
        waiting += [m for m in fields.values() if _leads_to_a_tensor(m)]
    ours = {NAMES[name]: {n: NAMES[m] for n, m in way.items()} for name, way in found.items()}
    assert ours == FIELDS


def _leads_to_a_tensor(message: Any, seen: frozenset[str] = frozenset()) -> bool:
    if message.name == "TensorProto":
        return True
    inner = [f.message_type for f in message.fields if f.message_type is not None]
    return message.name not in seen and any(
        _leads_to_a_tensor(m, seen | {message.name}) for m in inner
    )


def test_the_graphs_that_ship_are_taken() -> None:
    for network in load_bundle(default_bundle_path()).networks.values():
        refuse_strange_graph(network.path.read_bytes())


def field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    more = value >> 7
    return bytes([value & 0x7F | (0x80 if more else 0)]) + (_varint(more) if more else b"")


def in_a_graph(tensor: bytes) -> bytes:
    return field(7, field(5, tensor))


def test_a_location_in_the_file_itself_is_taken() -> None:
    for zero in (b"\0", b"\x80\0", b"\x80\x80\0"):
        refuse_strange_graph(in_a_graph(_varint(14 << 3) + zero))


@pytest.mark.parametrize(
    "tensor",
    [
        _varint(14 << 3) + b"\1",
        _varint(14 << 3) + b"\x81\0",
        field(13, b""),
        # Readers keep 32 bits of a field's number: this is field 13 to them.
        _varint(13 << 3 | 2 | 1 << 33) + b"\0",
    ],
)
def test_weights_elsewhere_are_refused_however_it_is_written(tensor: bytes) -> None:
    with pytest.raises(SpecError):
        refuse_strange_graph(in_a_graph(tensor))


@pytest.mark.parametrize("operator", ["Loop", "Scan", "SequenceMap"])
def test_a_loop_is_refused(operator: str) -> None:
    node = onnx.helper.make_node(operator, ["a"], ["b"])
    graph = onnx.helper.make_graph([node], "endless", [], [])
    content = onnx.helper.make_model(graph).SerializeToString()
    with pytest.raises(SpecError, match=f"the operator {operator}, a loop"):
        refuse_strange_graph(content)


def deep(levels: int) -> bytes:
    graph = b""
    for _ in range(levels):
        graph = field(1, field(5, field(6, graph)))  # a node's attribute is a graph
    return field(7, graph)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x3a\x7f", "cut off"),
        (b"\x3a" + b"\xff" * 20, "cut off"),
        (b"\0\0", "cut off, or no ONNX graph"),
        (b"\x3b\x3c", "no ONNX graph"),  # a group
        (_varint(7 << 3) + b"\1", "no ONNX graph"),  # a graph that is a number
        (field(7, b"\x18\1" * 2_000_000), "more than 1000000 parts"),
        (deep(20), "nested deeper than"),
    ],
)
def test_what_is_no_graph_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        refuse_strange_graph(content)


def test_a_real_graph_that_was_cut_is_refused(tmp_path: Path) -> None:
    content = (default_bundle_path() / "model.onnx").read_bytes()
    with pytest.raises(SpecError, match="cut off"):
        refuse_strange_graph(content[:-100])
