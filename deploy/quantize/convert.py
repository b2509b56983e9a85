"""A bundle's network at another precision, and how its answers are computed on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deploy.quantize.accuracy import Outputs
from deploy.quantize.graphs import (
    at_opset,
    body,
    load_onnx,
    run_as_recorded,
    run_to_the_letter,
    serialised,
)
from edge.errors import UserError

__all__ = ["KINDS", "Converted", "Kind", "convert", "distance", "kinds_for"]

INT8_FP16_OPSET = 19  # the first whose QuantizeLinear takes fp16
FEW = 128  # windows that suffice to see how far two engines differ
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of variant: its name in the bundle, its precision, and the backend it is made for.

    In `note`, which people read, {windows} is the number of windows it was calibrated with.
    """

    name: str
    precision: str
    runs_on: Literal["onnx", "tensorrt"]
    note: str


KINDS = (
    Kind(
        name="fp16",
        precision="fp16",
        runs_on="tensorrt",
        note="convolutions and what lies between them in fp16",
    ),
    Kind(
        name="int8",
        precision="int8",
        runs_on="tensorrt",
        note=(
            "convolutions in int8, weights per channel, symmetric; ranges from {windows} windows "
            "of recordings trained on"
        ),
    ),
    Kind(
        name="int8-cpu",
        precision="int8",
        runs_on="onnx",
        note=(
            "convolutions with unsigned 8-bit activations and 7-bit weights per channel, which no "
            "processor's kernels overflow; ranges from {windows} windows of recordings trained on"
        ),
    ),
    Kind(
        name="int8+fp16",
        precision="int8+fp16",
        runs_on="tensorrt",
        note="as int8, and what lies between the convolutions in fp16",
    ),
)


def kinds_for(precision: str, backend: str | None = None) -> list[Kind]:
    """Return the variants of a precision, or the one for a backend.

    Raises `UserError` when there is none.
    """
    kinds = [
        kind for kind in KINDS if kind.precision == precision and backend in (None, kind.runs_on)
    ]
    if not kinds:
        raise UserError(
            f"{precision} is not for {backend}: ONNX Runtime's CPU would compute its fp16 in fp32; "
            "use int8 there"
        )
    return kinds


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted network: the graph to ship, and how it answers here to features (n, C, F, T).

    `spread` is how far the answers of two correct engines are known to differ, None where only one
    kind of engine runs on this machine.
    """

    model: bytes
    answer: Callable[[Array], Outputs]
    spread: float | None = None


def convert(
    model: bytes, kind: Kind, calibration: Array, extra_outputs: Sequence[str]
) -> Converted:
    """Return the network at the precision of `kind`, with ranges from `calibration` (n, C, F, T).

    Raises `UserError` when the network has nothing to convert, or numbers that do not fit; the
    latter may also be raised by `answer`.
    """
    graph = load_onnx(model)
    from deploy.quantize.half import in_half  # these need the package onnx, which is there now
    from deploy.quantize.integers import quantised

    inside = body(graph)
    if kind.precision == "int8+fp16":
        graph = at_opset(graph, INT8_FP16_OPSET)
    if kind.precision != "fp16":
        graph = quantised(graph, inside, calibration, runs_on=kind.runs_on)
    if kind.precision == "int8":
        return _integers(serialised(graph), kind, calibration, extra_outputs)
    half = in_half(graph, inside)
    return Converted(
        model=half.model,
        answer=lambda features: half.answer(features, extra_outputs, name=kind.name),
    )


def distance(one: Outputs, other: Outputs) -> float:
    """Return the largest difference in any number of the answers."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one.every, other.every, strict=True))


def _integers(
    model: bytes, kind: Kind, calibration: Array, extra_outputs: Sequence[str]
) -> Converted:
    if kind.runs_on == "tensorrt":
        return Converted(
            model=model,
            answer=lambda features: run_to_the_letter(model, features, extra_outputs)[0],
        )
    few = calibration[:FEW]
    return Converted(
        model=model,
        answer=lambda features: run_as_recorded(model, features, extra_outputs),
        spread=distance(
            run_as_recorded(model, few, extra_outputs),
            run_to_the_letter(model, few, extra_outputs)[0],
        ),
    )
