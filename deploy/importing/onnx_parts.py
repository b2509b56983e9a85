"""Which input of a classifier is the waveform, and which outputs are embedding and logits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from deploy.importing.onnx_graph import Waveform, needed
from deploy.importing.onnx_run import Answers
from edge.errors import BundleError, SpecError, shown

__all__ = ["Head", "candidates", "find_head", "fixed_batch", "waveform_of"]

# Scores, whose input is what a bundle calls logits.
SCORES = {"Sigmoid": "sigmoid", "Softmax": "softmax"}
PASSING = ("Identity", "Dropout")  # operators that give what they take


@dataclass(frozen=True, kw_only=True)
class Head:
    """The tensors of embedding and logits, and how scores are made of the latter where known.

    `embedding` is one that the graph names where `is_output`, else what its last layer takes, or
    the logits again.
    """

    embedding: str
    logits: str
    activation: str | None
    is_output: bool


def waveform_of(
    file: Path, graph: onnx.GraphProto, *, name: str | None, samples: int, window: str
) -> Waveform:
    """Return the input that takes `samples`, which is a window; raises `BundleError`."""
    given = {value.name: value for value in _inputs(graph)}
    if name is None and len(given) != 1:
        raise BundleError(
            f"{file}: has the inputs {_listed(given)}; --input names that of the waveform"
        )
    name = name or next(iter(given))
    if name not in given:
        raise BundleError(f"{file}: has no input {shown(name)}, but {_listed(given)}")
    tensor = given[name].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise BundleError(f"{file}: its input {name} takes samples as {kind}, not as float32")
    dims = [d.dim_value or None for d in tensor.shape.dim]
    length, *others = sorted(dims[1:], key=lambda n: n or samples, reverse=True) or [None]
    if tensor.HasField("shape") and (len(dims) not in (2, 3) or others not in ([], [1], [None])):
        sizes = ", ".join(str(n or "any") for n in dims)
        raise BundleError(
            f"{file}: its input {name} takes ({sizes}), no waveforms of one channel, which are "
            "(batch, samples) or (batch, 1, samples)"
        )
    if length not in (None, samples):
        raise BundleError(f"{file}: its input {name} takes {length} samples, and {window}")
    if len(dims) < 3:
        return Waveform(name=name, shape=(-1, samples))
    last_is_channel = dims[2] == 1 or dims[1] == samples != 1
    return Waveform(name=name, shape=(-1, samples, 1) if last_is_channel else (-1, 1, samples))


def fixed_batch(graph: onnx.GraphProto, waveform: Waveform) -> int | None:
    """Return the number of windows that the graph was made for, None for any."""
    value = next(value for value in graph.input if value.name == waveform.name)
    dims = value.type.tensor_type.shape.dim
    return (dims[0].dim_value or None) if dims else None


def candidates(
    file: Path, graph: onnx.GraphProto, waveform: Waveform, named: Iterable[str | None]
) -> list[str]:
    """Return the tensors that may be embedding and logits: the outputs, and those that are named.

    What needs another input is none. Raises `BundleError`.
    """
    others = {value.name for value in _inputs(graph)} - {waveform.name}
    computed = {name for node in graph.node for name in node.output}
    outputs = [
        value.name
        for value in graph.output
        if value.type.HasField("tensor_type") and value.name in computed
    ]
    asked = [name for name in named if name is not None]
    for name in asked:
        if name not in computed:
            raise BundleError(f"{file}: has no output {shown(name)}, but {_listed(outputs)}")
        if lacking := others & needed(graph, [name])[1]:
            raise BundleError(
                f"{file}: its output {name} also needs the input {_listed(lacking)}, which no "
                "bundle has"
            )
    alone = [name for name in outputs if not others & needed(graph, [name])[1]]
    if not alone and not asked:
        raise BundleError(f"{file}: needs the inputs {_listed(others)} beside the waveform")
    return list(dict.fromkeys([*alone, *asked]))


def find_head(
    file: Path,
    graph: onnx.GraphProto,
    answers: Answers,
    *,
    labels: int,
    embedding: str | None,
    logits: str | None,
) -> Head:
    """Choose among the tensors in `answers`, each of one window, by name or by their shapes.

    The logits have as many columns as there are `labels`. Raises `BundleError`, which says what
    there is, and which option chooses.
    """
    producers = {name: node for node in graph.node for name in node.output}
    rows = _rows(answers)
    linear = {name: _linear(producers, name) for name in rows if rows[name] == labels}
    there = "it has " + ", ".join(f"{name} {array.shape}" for name, array in answers.items())
    logits = logits or _logits(linear)
    if logits not in linear:
        reason = f"the output {logits} has not" if logits else "no output has"
        if not logits and linear:
            reason = "--logits must name one of those that have"
        raise BundleError(f"{file}: {reason} {labels} columns, one for each label; {there}")
    taken = linear[logits][0]
    others = [n for n in rows if n != logits and (n not in linear or "embed" in n.lower())]
    try:
        embedding = _embedding(others, list(rows), embedding)
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}; {there}") from exc
    activations = [kind for tensor, kind in linear.values() if tensor == taken and kind]
    return Head(
        embedding=embedding or _last_input(producers, taken) or taken,
        logits=taken,
        activation=activations[0] if activations else None,
        is_output=embedding is not None,
    )


def _rows(answers: Answers) -> dict[str, int]:
    """Return the answers that are a row of numbers for each window, and their columns."""
    rows = {name: array for name, array in answers.items() if array.ndim == 2}
    return {name: array.shape[1] for name, array in rows.items() if array.dtype.kind == "f"}


def _embedding(others: list[str], rows: list[str], asked: str | None) -> str | None:
    """Return the output that is the embedding: one of `rows`, or of `others` where none is asked.

    None where there is no other; raises `SpecError`.
    """
    if asked is not None:
        if asked not in rows:
            raise SpecError(f"the output {asked} has not one row for a window, as an embedding has")
        return asked
    if not others:
        return None
    found = others[0] if len(others) == 1 else _chosen(others, "embed")
    if found is None:
        raise SpecError("--embedding must name the output that is one")
    return found


def _linear(producers: Mapping[str, onnx.NodeProto], tensor: str) -> tuple[str, str | None]:
    """Return what scores were made of, and by what; of what are no scores the tensor itself."""
    node = _behind(producers, tensor)
    if node is None or node.op_type not in SCORES:
        return tensor, None
    return node.input[0], SCORES[node.op_type]


def _logits(linear: Mapping[str, tuple[str, str | None]]) -> str | None:
    """Return the output that is chosen where none was named, of those with fitting columns.

    Several may be the same logits, and scores of them.
    """
    if len({tensor for tensor, _ in linear.values()}) == 1:
        return next(iter(linear))
    return _chosen(list(linear), "logit")


def _chosen(names: list[str], word: str) -> str | None:
    """Return the one of `names` that has a word in it."""
    named = [name for name in names if word in name.lower()]
    return named[0] if len(named) == 1 else None


def _behind(producers: Mapping[str, onnx.NodeProto], tensor: str) -> onnx.NodeProto | None:
    """Return the node that computes a tensor, past those that change nothing."""
    node = producers.get(tensor)
    while node is not None and node.op_type in PASSING:
        node = producers.get(node.input[0])
    return node


def _last_input(producers: Mapping[str, onnx.NodeProto], logits: str) -> str | None:
    """Return what the dense layer takes that gives the logits, None where there is none."""
    node = _behind(producers, logits)
    if node is not None and node.op_type == "Add":
        sums = [_behind(producers, name) for name in node.input]
        node = next((n for n in sums if n is not None and n.op_type == "MatMul"), None)
    if node is None or node.op_type not in ("Gemm", "MatMul") or node.input[0] not in producers:
        return None
    weights = producers.get(node.input[1])
    return node.input[0] if weights is None or weights.op_type == "Constant" else None


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that have no value of their own."""
    stored = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in stored]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
