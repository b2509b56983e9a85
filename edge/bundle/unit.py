"""Embeddings at length 1, so that only their direction counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_length_1"]

LEAST = np.float32(1e-9)  # an embedding of zeros stays that


def at_length_1(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (B, D) float32, each divided by its Euclidean length."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    result: NDArray[np.float32] = rows / np.maximum(length, LEAST)
    return result
