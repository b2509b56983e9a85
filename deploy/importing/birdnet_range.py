"""BirdNET's model of what lives where, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.importing.tflite_file import TfliteFile
from edge.bundle.occurrence import Occurrence
from edge.errors import BundleError

__all__ = ["read_occurrence"]

# Where its constants are, by the end of their names.
LATITUDE, LONGITUDE = "MNET_CONVERT/truediv;BirdNET/MNET_CONVERT/add_2/y", "truediv_2/y"
WEEK, TURN = "MNET_CONVERT/range/limit", "MNET_CONVERT/mul_1/x"
PHASES, AMPLITUDE = "MNET_CONVERT/truediv_1", "MNET_CONVERT/Sqrt"


def read_occurrence(path: Path, content: bytes, *, labels: int) -> Occurrence:
    """Return the model in a file for a bundle with so many `labels`; raises `BundleError`."""
    file = TfliteFile(path, content)
    layers = tuple(
        (_constant(file, weights), _constant(file, biases)) for weights, biases in _dense(file)
    )
    try:
        turn = float(_named(file, TURN))
        turns = [turn * float(_named(file, name)) for name in (LATITUDE, LONGITUDE, WEEK)]
        occurrence = Occurrence(
            phases=_named(file, PHASES),
            turns=np.array(turns, np.float32),
            amplitude=float(_named(file, AMPLITUDE)),
            layers=layers,
        )
    except (StopIteration, TypeError, ValueError) as exc:
        raise BundleError(f"{path}: is not BirdNET's model of occurrence ({exc})") from exc
    if not layers or occurrence.labels != labels:
        count = occurrence.labels if layers else 0
        raise BundleError(f"{path}: is of {count} labels, and the model has {labels}")
    return occurrence


def _dense(file: TfliteFile) -> list[tuple[int, int]]:
    """Return the tensors of weights and biases of the dense layers, as they are stored."""
    sources = {op.output: op.inputs[0] for op in file.operators() if op.name == "DEQUANTIZE"}
    return [
        (sources.get(op.inputs[1], op.inputs[1]), sources.get(op.inputs[2], op.inputs[2]))
        for op in file.operators()
        if op.name == "FULLY_CONNECTED"
    ]


def _named(file: TfliteFile, ending: str) -> NDArray[np.float32]:
    tensor = next(i for i in range(file.tensors) if file.name(i).endswith(ending))
    return _constant(file, tensor)


def _constant(file: TfliteFile, tensor: int) -> NDArray[np.float32]:
    constant = file.constant(tensor)
    if constant is None:
        raise ValueError(f"{file.name(tensor)} is no constant")
    return constant.astype(np.float32)
