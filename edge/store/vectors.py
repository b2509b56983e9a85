"""Embeddings as they are stored: whole numbers of eight bits, times a scale of each vector.

A number is off by at most half of the scale, which is the largest number of the vector / 127.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.types import Array

__all__ = ["in_levels", "restored"]

LEVELS = 127
AS_FLOATS = 0.0  # the scale of those that an earlier version stored as little-endian float32


def in_levels(vector: Array) -> tuple[NDArray[np.int8], np.float32]:
    """Return a vector (D,) float32 of finite numbers as whole ones (D,) and their scale."""
    scale = np.float32(max(float(np.abs(vector).max(initial=0.0)), 1e-30) / LEVELS)
    return np.rint(vector / scale).astype(np.int8), scale


def restored(content: object, scale: object) -> Array | None:
    """Return the vector (D,) float32 of a stored row, None where damage has left none."""
    if not isinstance(content, bytes) or not content or not isinstance(scale, int | float):
        return None
    if scale == AS_FLOATS:
        whole = len(content) % 4 == 0
        vector = np.frombuffer(content, "<f4").astype(np.float32) if whole else None
    elif math.isfinite(scale) and 0 < scale < 1e30:
        vector = np.frombuffer(content, np.int8) * np.float32(scale)
    else:
        return None
    return vector if vector is not None and np.isfinite(vector).all() else None
