"""Distances of embeddings to points, such as those of the training windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.products import product

__all__ = ["Points"]

Array = NDArray[np.float32]


class Points:
    """Points (N, D), with what is computed of them once."""

    def __init__(self, points: Array) -> None:
        self._squares = np.square(points).sum(1)
        self._points = points

    def distances(self, embedding: Array) -> Array:
        """Return the Euclidean distances (B, N) of rows (B, D) to them."""
        squares = np.square(embedding).sum(1)[:, None] + self._squares
        squared = squares - 2 * product(embedding, self._points.T)
        result: Array = np.sqrt(np.maximum(squared, 0))
        return result
