"""A study's own labels on another bundle's network: the top of a head.

The network below, with its frontend, is the *trunk*: a bundle of its own, which the head names by
its digest. So a head is small, and several may stand on one trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import SpecError, shown

__all__ = ["EXTRA", "Top", "top_of"]

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
BOUND = 12.0  # of a trunk's logits: beyond it, all are as sure
LACKING = -6.0  # stands for the trunk's logit of a label that it does not have
EXTRA = 2  # values behind the embedding that rules may look at
LARGEST = 1e6  # of a weight
NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Top:
    """Turns a trunk's embedding (B, D) and logits (B, N) into the logits (B, K) of other labels.

    logits = e @ weights + bias + gain * own, where e is the embedding at length 1 and own (B, K)
    the trunk's logits of the labels that it has too, within +-12; where it lacks one, -6. `weights`
    (D, K), `bias` (K,), `gain` is a number. `own` (K,) are the positions of these labels in the
    trunk, -1 for one that it lacks; `others` (M,) those of the animals that are none of these.
    """

    weights: Array
    bias: Array
    gain: float
    own: Ints
    others: Ints

    def __call__(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """Return what rules look at (B, D + 2), and the logits (B, K).

        It is the embedding at length 1, then how far other animals outdo the labels by the trunk's
        logits, then minus the best of these.
        """
        unit, own = self.parts(embedding, logits)
        others = logits[:, self.others].max(1, initial=-BOUND)
        best = own.max(1)
        looked_at = np.column_stack([unit, others - best, -best]).astype(np.float32)
        result = unit @ self.weights + self.bias + np.float32(self.gain) * own
        return looked_at, result.astype(np.float32)

    def parts(self, embedding: Array, logits: Array) -> tuple[Array, Array]:
        """Return the embedding at length 1 (B, D), and the trunk's logits of the labels (B, K)."""
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
        unit = embedding / np.maximum(length, np.float32(1e-9))
        own = np.where(self.own >= 0, logits[:, self.own], np.float32(LACKING))
        return unit, np.clip(own, -BOUND, BOUND).astype(np.float32)

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return its arrays by name, as `top.npz` has them; `top_of` is the inverse."""
        arrays: dict[str, NDArray[Any]] = {
            "weights": self.weights,
            "bias": self.bias,
            "gain": np.array(self.gain, np.float64),
            "own": self.own,
        }
        # There are no empty arrays in a file.
        return arrays | ({"others": self.others} if len(self.others) else {})


def top_of(
    arrays: Mapping[str, NDArray[Any]], *, labels: int, dimensions: int, trunk_labels: int
) -> Top:
    """Return the top in `arrays`, for K `labels` on a trunk's D `dimensions` and N labels.

    Raises `SpecError`, which names the array that is missing, too much, or of the wrong type, shape
    or value.
    """
    shapes = {"weights": (dimensions, labels), "bias": (labels,), "gain": (), "own": (labels,)}
    strange = sorted((arrays.keys() - {"others"}) ^ shapes.keys())
    if strange:
        what = "is missing" if strange[0] not in arrays else "belongs to no head"
        raise SpecError(f"array {shown(strange[0])} {what}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise SpecError(f"array '{name}' has shape {arrays[name].shape}, not {shape}")
    for name in ("weights", "bias", "gain"):
        if arrays[name].dtype.kind != "f" or not (np.abs(arrays[name]) <= LARGEST).all():
            raise SpecError(f"array '{name}' is not of finite numbers up to {LARGEST:g}")
    own = _positions("own", arrays["own"], -1, trunk_labels)
    others = _positions("others", arrays.get("others", NONE), 0, trunk_labels)
    if others.ndim != 1 or np.isin(others, own).any():
        raise SpecError("array 'others' has labels that are the head's own")
    return Top(
        weights=arrays["weights"].astype(np.float32),
        bias=arrays["bias"].astype(np.float32),
        gain=float(arrays["gain"]),
        own=own,
        others=others,
    )


def _positions(name: str, array: NDArray[Any], least: int, labels: int) -> Ints:
    if array.dtype.kind not in "iu" or not ((array >= least) & (array < labels)).all():
        raise SpecError(f"array '{name}' is not of positions among the trunk's {labels} labels")
    return array.astype(np.int64)
