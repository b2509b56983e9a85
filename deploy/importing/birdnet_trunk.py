"""Where in another network BirdNET's embedding is, and whether it is BirdNET that gives it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.importing.birdnet_graph import Cut
from deploy.importing.tflite_file import Operator, TfliteFile
from edge.errors import BundleError

__all__ = ["Embedding", "embedding_of"]

EMBEDDING_SIZE = 1_024
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Of the largest weight of a layer: versions of TensorFlow fold a normalisation to within rounding.
SAME_WEIGHTS = 1e-5


def embedding_of(path: Path, file: TfliteFile, birdnet: TfliteFile, cut: Cut) -> Embedding:
    """Return what tells the embedding among the tensors of a classifier; raises `BundleError`."""
    samples = cut.spec.window_samples
    expected = (
        f"a classifier for BirdNET V2.4 takes its embedding, (1, {EMBEDDING_SIZE}), or a window, "
        f"(1, {samples})"
    )
    if len(file.inputs) != 1:
        raise BundleError(f"{path}: has {len(file.inputs)} inputs; {expected}")
    shape = file.shape(file.inputs[0])
    if shape not in ((1, EMBEDDING_SIZE), (1, samples)):
        raise BundleError(f"{path}: takes {shape}, and {expected}")
    return Embedding(path, file, birdnet, cut)


class Embedding:
    """Tells which tensor of a file is BirdNET's embedding.

    It is the input, or what the same layers as BirdNET's give; raises `BundleError` for others.
    """

    def __init__(self, path: Path, file: TfliteFile, birdnet: TfliteFile, cut: Cut) -> None:
        self._path = path
        self._file = file
        self._whole = file.shape(file.inputs[0])[1] != EMBEDDING_SIZE
        self._producers = {op.output: op for op in file.operators()}
        self._birdnet, self._cut = birdnet, cut
        self._known: set[int] = set()

    def __call__(self, tensor: int) -> bool:
        """Return whether a tensor is the embedding."""
        if not self._whole:
            return tensor == self._file.inputs[0]
        operator = self._producers.get(tensor)
        if operator is None or operator.name != "MEAN":
            return False
        if self._file.shape(tensor) != (1, EMBEDDING_SIZE):
            return False
        if tensor not in self._known:
            self._refuse_another_trunk(tensor)
            self._known.add(tensor)
        return True

    @cached_property
    def _expected(self) -> list[NDArray[np.float32]]:
        return _trunk(self._birdnet, self._cut.embedding)

    def _refuse_another_trunk(self, tensor: int) -> None:
        trunk, expected = _trunk(self._file, tensor), self._expected
        if len(trunk) != len(expected) or not all(map(_is_same, trunk, expected)):
            raise BundleError(
                f"{self._path}: the layers before its embedding are not those of BirdNET V2.4, the "
                "only version that is known"
            )


def _is_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    if one.shape != other.shape:
        return False
    return bool(np.abs(one - other).max() <= SAME_WEIGHTS * np.abs(other).max())


def _trunk(file: TfliteFile, embedding: int) -> list[NDArray[np.float32]]:
    """Return the weights and biases of the layers that lead to a tensor, in their order."""
    operators = list(file.operators())
    wanted, kept = {embedding}, []
    for operator in reversed(operators):
        if operator.output in wanted:
            wanted.update(operator.inputs)
            kept.append(operator)
    stored = {op.output: op.inputs[0] for op in operators if op.name == "DEQUANTIZE"}
    return [
        constant.astype(np.float32)
        for operator in reversed(kept)
        if operator.name in WEIGHTED
        for constant in _constants(file, operator, stored)
    ]


def _constants(
    file: TfliteFile, operator: Operator, stored: dict[int, int]
) -> list[NDArray[np.float32]]:
    tensors = [stored.get(tensor, tensor) for tensor in operator.inputs[1:] if tensor >= 0]
    constants = [file.constant(tensor) for tensor in tensors]
    return [constant for constant in constants if constant is not None]
