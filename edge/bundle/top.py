"""A study's own labels on another bundle's network: the top of a head.

The network below, with its frontend, is the *trunk*: a bundle of its own, which the head names by
its digest. So a head is small, and several may stand on one trunk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.layer import LARGEST_WEIGHT, Layer, rounded
from edge.bundle.products import greatest, product
from edge.bundle.unit import at_length_1
from edge.errors import SpecError, shown

__all__ = ["BOUND", "Layer", "Top", "rounded", "top_of"]

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
BOUND = 12.0  # of a trunk's logits: beyond it, all are as sure
LACKING = -6.0  # stands for the trunk's logit of a label that it does not have
NONE = np.zeros(0, np.int64)
LAYERS = ("metric", "hidden")


@dataclass(frozen=True, kw_only=True)
class Top:
    """Turns a trunk's embedding (B, D) and logits (B, N) into the logits (B, K) of other labels.

    logits = e @ weights + bias + gain * own, where e is the embedding at length 1 and own (B, K)
    the trunk's logits of the labels that it has too, within +-12; where it lacks one, -6. `weights`
    (D, K), `bias` (K,), `gain` is a number. `own` (K,) are the positions of these labels in the
    trunk, -1 for one that it lacks; `others` (M,) those of the animals that are none of these.

    With a layer `metric`, e is what it makes of that, at length 1 again: an embedding in which
    distances mean something. With `context` (S,), positions of labels in the trunk, weights stand
    on e and on the trunk's logits of these within +-12; with a layer `hidden`, on what max(0,
    hidden) makes of both. So a label may be told by what the trunk takes it for.

    `sounds` (S,) are the positions of the trunk's labels that are no animals'; with them, rules may
    look at how far these outdo all animals.
    """

    weights: Array
    bias: Array
    gain: float
    own: Ints
    others: Ints
    context: Ints = dataclasses.field(default_factory=lambda: NONE)
    sounds: Ints = dataclasses.field(default_factory=lambda: NONE)
    metric: Layer | None = None
    hidden: Layer | None = None

    def __call__(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """Return what rules look at (B, M + `extra`), and the logits (B, K).

        It is e, of M numbers, then how far other animals outdo the labels by the trunk's logits,
        then minus the best of these; with `sounds`, then how far these outdo all animals.
        """
        unit, own = self.parts(embedding, logits)
        others = np.maximum(greatest(logits, self._is_other(logits.shape[1])), np.float32(-BOUND))
        best = own.max(1)
        behind = [others - best, -best]
        if len(self.sounds):
            sounds = np.take(logits, self.sounds, axis=1).max(1)
            behind.append(sounds - np.maximum(others, best))
        looked_at = np.column_stack([unit, *behind]).astype(np.float32)
        features = self.features(unit, logits)
        result = product(features, self.weights) + self.bias + np.float32(self.gain) * own
        return looked_at, result.astype(np.float32)

    def _is_other(self, count: int) -> NDArray[np.bool_]:
        """Return which of a trunk's `count` labels are `others`."""
        if count not in self._masks:
            self._masks[count] = np.isin(np.arange(count), self.others)
        return self._masks[count]

    @cached_property
    def _masks(self) -> dict[int, NDArray[np.bool_]]:
        return {}

    def parts(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """Return e (B, M), and the trunk's logits of the labels (B, K)."""
        unit = at_length_1(embedding)
        if self.metric is not None:
            unit = at_length_1(self.metric(unit))
        own = np.where(self.own >= 0, np.take(logits, self.own, axis=1), np.float32(LACKING))
        return unit, np.clip(own, -BOUND, BOUND).astype(np.float32)

    def inputs(self, unit: Array, logits: Array) -> Array:
        """Return e (B, M) with the trunk's logits of the context beside it (B, M + S)."""
        if not len(self.context):
            return unit
        context = np.clip(np.take(logits, self.context, axis=1), -BOUND, BOUND)
        return np.column_stack([unit, context]).astype(np.float32)

    def features(self, unit: Array, logits: Array) -> Array:
        """Return what the weights stand on (B, H), of e (B, M) and the trunk's logits (B, N)."""
        inputs = self.inputs(unit, logits)
        return inputs if self.hidden is None else np.maximum(self.hidden(inputs), 0)

    @property
    def extra(self) -> int:
        """How many values behind the embedding rules may look at."""
        return 3 if len(self.sounds) else 2

    @property
    def looked_at(self) -> int | None:
        """How many numbers of an embedding rules look at; None: as many as the trunk's has."""
        return None if self.metric is None else len(self.metric.bias)

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return its arrays by name, as `top.npz` has them; `top_of` is the inverse."""
        arrays: dict[str, NDArray[Any]] = {
            "weights": _halved(self.weights),
            "bias": self.bias,
            "gain": np.array(self.gain, np.float64),
            "own": self.own,
        }
        for name in LAYERS:
            layer: Layer | None = getattr(self, name)
            if layer is not None:
                arrays[f"{name}_weights"] = _halved(layer.weights)
                arrays[f"{name}_bias"] = _halved(layer.bias)
        # There are no empty arrays in a file.
        positions = {"others": self.others, "context": self.context, "sounds": self.sounds}
        return arrays | {name: array for name, array in positions.items() if len(array)}


def top_of(
    arrays: Mapping[str, NDArray[Any]], *, labels: int, dimensions: int, trunk_labels: int
) -> Top:
    """Return the top in `arrays`, for K `labels` on a trunk's D `dimensions` and N labels.

    Raises `SpecError`, which names the array that is missing, too much, or of the wrong type, shape
    or value.
    """
    context = _positions("context", arrays.get("context", NONE), 0, trunk_labels)
    if context.ndim != 1:
        raise SpecError(f"array 'context' has shape {context.shape}, not (S,)")
    layers, inputs = _layers(arrays, dimensions, len(context))
    shapes = {"weights": (inputs, labels), "bias": (labels,), "gain": (), "own": (labels,)}
    parts = [f"{name}_{part}" for name in layers for part in ("weights", "bias")]
    optional = {"others", "context", "sounds", *parts}
    strange = sorted((arrays.keys() - optional) ^ shapes.keys())
    if strange:
        what = "is missing" if strange[0] not in arrays else "belongs to no head"
        raise SpecError(f"array {shown(strange[0])} {what}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise SpecError(f"array '{name}' has shape {arrays[name].shape}, not {shape}")
    for name in ("weights", "bias", "gain"):
        _check_numbers(name, arrays[name])
    own = _positions("own", arrays["own"], -1, trunk_labels)
    others, sounds = _beside(arrays, own, trunk_labels)
    return Top(
        weights=arrays["weights"].astype(np.float32),
        bias=arrays["bias"].astype(np.float32),
        gain=float(arrays["gain"]),
        own=own,
        others=others,
        context=context,
        sounds=sounds,
        **layers,
    )


def _beside(arrays: Mapping[str, NDArray[Any]], own: Ints, trunk_labels: int) -> tuple[Ints, Ints]:
    """Return the positions of other animals and of other sounds in the trunk."""
    others = _positions("others", arrays.get("others", NONE), 0, trunk_labels)
    if others.ndim != 1 or np.isin(others, own).any():
        raise SpecError("array 'others' has labels that are the head's own")
    sounds = _positions("sounds", arrays.get("sounds", NONE), 0, trunk_labels)
    if sounds.ndim != 1 or np.isin(sounds, [*own, *others]).any():
        raise SpecError("array 'sounds' has labels that are animals'")
    return others, sounds


def _layers(
    arrays: Mapping[str, NDArray[Any]], dimensions: int, context: int
) -> tuple[dict[str, Layer], int]:
    """Return the layers by name, and on how many numbers the weights stand."""
    layers: dict[str, Layer] = {}
    for name in LAYERS:
        dimensions += context if name == "hidden" else 0
        layer = _layer(name, arrays, dimensions)
        if layer is not None:
            layers[name], dimensions = layer, len(layer.bias)
    return layers, dimensions


def _layer(name: str, arrays: Mapping[str, NDArray[Any]], dimensions: int) -> Layer | None:
    """Return the layer of that name on rows of so many numbers, None where there is none."""
    weights, bias = (arrays.get(f"{name}_{part}") for part in ("weights", "bias"))
    if weights is None or bias is None:
        return None  # one without the other belongs to no head
    if weights.ndim != 2 or not weights.shape[1] or weights.shape[0] != dimensions:
        raise SpecError(f"array '{name}_weights' has shape {weights.shape}, not ({dimensions}, J)")
    if bias.shape != weights.shape[1:]:
        raise SpecError(f"array '{name}_bias' has shape {bias.shape}, not {weights.shape[1:]}")
    _check_numbers(f"{name}_weights", weights)
    _check_numbers(f"{name}_bias", bias)
    return Layer(weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def _check_numbers(name: str, array: NDArray[Any]) -> None:
    sizes = np.abs(array, dtype=np.float64) if array.dtype.kind == "f" else np.full(1, np.nan)
    if not (sizes <= LARGEST_WEIGHT).all():
        raise SpecError(f"array '{name}' is not of finite numbers up to {LARGEST_WEIGHT:g}")


def _halved(array: Array) -> NDArray[np.floating]:
    """Return an array as float16 where that is the same, so that it takes half the room."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half, array) else array


def _positions(name: str, array: NDArray[Any], least: int, labels: int) -> Ints:
    if array.dtype.kind not in "iu" or not ((array >= least) & (array < labels)).all():
        raise SpecError(f"array '{name}' is not of positions among the trunk's {labels} labels")
    return array.astype(np.int64)
