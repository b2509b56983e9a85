"""Products and maxima of rows that are the same whatever rows are computed together.

One window at a time and thousands at once must give the same bits. BLAS adds up one row in another
order than many, which shows in float32; added up in float64 and rounded, it does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["chosen", "doubled", "greatest", "product"]

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


def doubled(weights: NDArray[Any]) -> Doubles:
    """Return weights as `product` takes them, so that they are converted once."""
    return np.ascontiguousarray(weights, np.float64)


def product(rows: Array, weights: Doubles) -> Array:
    """Return rows (B, I) times weights (I, J), rounded to float32."""
    result: Array = (rows.astype(np.float64) @ weights).astype(np.float32)
    return result


def chosen(rows: Array, mask: Mask) -> Array:
    """Return the columns of rows (B, N) that `mask` (N,) names, each row in one piece of memory.

    An index would give columns in one piece, whose sums are taken in another order than a row's.
    """
    return np.compress(mask, rows, axis=1)


def greatest(rows: Array, mask: Mask) -> Array:
    """Return the largest (B,) of the columns of rows (B, N) that `mask` names; -inf of none."""
    if 2 * np.count_nonzero(mask) > len(mask):  # to pick out most takes longer than to hide few
        hidden = rows.copy()
        hidden[:, ~mask] = -np.inf
        return hidden.max(1, initial=np.float32(-np.inf))
    return chosen(rows, mask).max(1, initial=np.float32(-np.inf))
