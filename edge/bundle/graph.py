"""What is looked for in a graph before any library reads it: weights elsewhere, and loops.

No checksum covers weights in another file, and its name leads anywhere; a loop may have no end. An
ONNX file is a message of Protocol Buffers: fields, each a number, a kind and a value, which may be
a message again. Only the way to the tensors is followed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.errors import SpecError

__all__ = ["LARGEST_GRAPH_BYTES", "refuse_strange_graph"]

# ONNX Runtime needs twice as much memory to load it. Perch v2 has 410 MB.
LARGEST_GRAPH_BYTES = 500_000_000
# Of fields that are looked at: a network of 1,000 layers has about 30,000.
MOST_FIELDS = 1_000_000
MOST_DEPTH = 32  # of messages in messages
LONGEST_VARINT = 10  # bytes

# Of each kind of message, the fields that may hold a tensor, and their kind: those of onnx.proto.
FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
OPERATOR = 4  # of a node: its name
# Operators that may repeat themselves for ever; no network here needs them.
ENDLESS = (b"Loop", b"Scan", b"SequenceMap")
VARINT, FIXED_64, BYTES, GROUP, END_GROUP, FIXED_32 = range(6)


def refuse_strange_graph(content: bytes) -> None:
    """Raise `SpecError`, which says why, for a graph that is not whole in `content`."""
    waiting = [("model", 0, len(content), 0)]
    left = MOST_FIELDS
    while waiting:
        kind, start, end, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise SpecError(f"its parts are nested deeper than {MOST_DEPTH}")
        for number, wire, first, last in _fields(content, start, end):
            left -= 1
            if left < 0:
                raise SpecError(f"it has more than {MOST_FIELDS} parts")
            if kind == "tensor" and _is_elsewhere(number, content[first : min(last, first + 10)]):
                raise SpecError("its weights are in another file, which no checksum covers")
            if kind == "node" and number == OPERATOR and content[first:last] in ENDLESS:
                raise SpecError(f"it has the operator {content[first:last].decode()}, a loop")
            if number in FIELDS[kind]:
                if wire != BYTES:
                    raise SpecError("it is no ONNX graph")
                waiting.append((FIELDS[kind][number], first, last, depth + 1))


def _is_elsewhere(number: int, value: bytes) -> bool:
    """Return whether a field of a tensor, of which `value` is the beginning, says so."""
    # A location of 0, in the file itself, may be written down, and that in several bytes.
    return number == EXTERNAL_DATA or (number == DATA_LOCATION and value.strip(b"\x80") != b"\0")


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field of the message from `at` to `end`: number, kind, where its value is."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        first = at
        if wire == VARINT:
            _, at = _varint(content, at, end)
        elif wire == BYTES:
            length, first = _varint(content, at, end)
            at = first + length
        elif wire in (FIXED_64, FIXED_32):
            at += 8 if wire == FIXED_64 else 4
        else:  # among them groups, which ONNX does not have
            raise SpecError("it is no ONNX graph")
        # Readers take 32 bits of a tag: with more, this one and they would see two fields.
        if at > end or number == 0 or tag >> 32:
            raise SpecError("it is cut off, or no ONNX graph")
        yield number, wire, first, at


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = 0
    for i, byte in enumerate(content[at : min(end, at + LONGEST_VARINT)]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise SpecError("it is cut off, or no ONNX graph")
