"""Which species a place has in which week, by a small network that a bundle may bring along.

BirdNET's has three numbers in, latitude, longitude and one of 48 weeks. Each becomes sines of one
turn with 48 phases; dense layers follow, and a probability for each label comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import SpecError, shown

__all__ = ["WEEKS", "Occurrence", "occurrence_of"]

Array = NDArray[np.float32]
WEEKS = 48  # of a year: four a month
LARGEST_WEIGHT = 1e4
LAYER = "layer{}_{}"


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """The network: `phases` (P,), and `layers` of weights (out, in) and biases (out,).

    `turns` are the radians of a degree of latitude, a degree of longitude and a week, `amplitude`
    is that of the sines.
    """

    phases: Array
    turns: Array
    amplitude: float
    layers: tuple[tuple[Array, Array], ...]

    @property
    def labels(self) -> int:
        """How many labels it knows."""
        return len(self.layers[-1][1])

    def probabilities(self, latitude: float, longitude: float) -> Array:
        """Return how likely each label is at a place in each week: (48, labels) in 0..1."""
        weeks = np.arange(WEEKS, dtype=np.float32)
        place = np.array([latitude + 90, longitude + 180], np.float32)
        shares = np.concatenate(
            [np.repeat(place[np.newaxis], WEEKS, axis=0), weeks[:, np.newaxis]], axis=1
        )
        turned = (shares * self.turns)[:, :, np.newaxis] + self.phases
        values = (np.float32(self.amplitude) * np.sin(turned)).reshape(WEEKS, -1)
        *hidden, (weights, biases) = self.layers
        for inner_weights, inner_biases in hidden:
            values = np.maximum(values @ inner_weights.T + inner_biases, 0)
        logits = values @ weights.T + biases
        probabilities: Array = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
        return probabilities

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return named arrays, weights in 16 bits; `occurrence_of` is the inverse."""
        arrays: dict[str, NDArray[Any]] = {
            "phases": self.phases,
            "turns": self.turns,
            "amplitude": np.float32(self.amplitude).reshape(1),
        }
        for i, (weights, biases) in enumerate(self.layers):
            arrays[LAYER.format(i, "weights")] = weights.astype(np.float16)
            arrays[LAYER.format(i, "biases")] = biases.astype(np.float16)
        return arrays


def occurrence_of(arrays: Mapping[str, NDArray[Any]], *, labels: int) -> Occurrence:
    """Build the network of a bundle with so many `labels`; raises `SpecError`."""
    count = (len(arrays) - 3) // 2
    names = [LAYER.format(i, part) for i in range(count) for part in ("weights", "biases")]
    if count < 1 or set(arrays) != {"phases", "turns", "amplitude", *names}:
        raise SpecError(f"holds the arrays {shown(sorted(arrays))}, which are not its layers")
    plain = {name: _numbers(name, array) for name, array in arrays.items()}
    layers = tuple(
        (plain[LAYER.format(i, "weights")], plain[LAYER.format(i, "biases")]) for i in range(count)
    )
    width = 3 * plain["phases"].size
    for i, (weights, biases) in enumerate(layers):
        if weights.ndim != 2 or weights.shape != (biases.size, width) or biases.ndim != 1:
            raise SpecError(f"layer {i} has weights of shape {weights.shape}, which do not fit")
        width = biases.size
    if plain["turns"].shape != (3,) or plain["amplitude"].shape != (1,) or width != labels:
        raise SpecError(f"gives {width} probabilities, and there are {labels} labels")
    return Occurrence(
        phases=plain["phases"],
        turns=plain["turns"],
        amplitude=float(plain["amplitude"][0]),
        layers=layers,
    )


def _numbers(name: str, array: NDArray[Any]) -> Array:
    """Return the numbers in 32 bits; raises `SpecError` for what is large, or no number."""
    small = array.dtype.kind == "f"
    if small:
        with np.errstate(over="ignore"):  # what becomes infinite is not small
            array = array.astype(np.float32)
        small = bool(array.min() > -LARGEST_WEIGHT and array.max() < LARGEST_WEIGHT)  # nor NaN
    if not small:
        raise SpecError(f"{name} is not of numbers below {LARGEST_WEIGHT:g}")
    return array
