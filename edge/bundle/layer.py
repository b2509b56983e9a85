"""One affine layer of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.products import product

__all__ = ["LARGEST_WEIGHT", "Layer", "rounded"]

Array = NDArray[np.float32]

LARGEST_WEIGHT = 1e6  # of any that is fitted: more is damage


def rounded(array: NDArray[Any]) -> Array:
    """Return the numbers nearest to these that float16 has, which are stored at half the size."""
    result: Array = array.astype(np.float16).astype(np.float32)
    return result


@dataclass(frozen=True, kw_only=True)
class Layer:
    """An affine map of rows (B, I) to rows (B, J): `weights` (I, J) and `bias` (J,), float32."""

    weights: Array
    bias: Array

    @classmethod
    def rounded(cls, weights: NDArray[Any], bias: NDArray[Any]) -> Layer:
        """Return the layer with the numbers nearest to these that float16 has."""
        return cls(weights=rounded(weights), bias=rounded(bias))

    def __call__(self, rows: Array) -> Array:
        return product(rows, self.weights) + self.bias
