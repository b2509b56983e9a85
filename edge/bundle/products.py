"""Products and maxima of rows that are the same whatever rows are computed together.

One window at a time and thousands at once must give the same bits. BLAS adds up one row in another
order than many: so it always gets the same number of rows, that of the columns which its kernels
take at once, and each of them is added up alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["chosen", "greatest", "product"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
LEAST = np.float32(-np.inf)
ROWS = 4  # of a product; 8 would do, too, but not 16 or 32 (OpenBLAS with AVX-512)


def product(rows: Array, weights: Array) -> Array:
    """Return rows (B, I) times weights (I, J)."""
    count = len(rows)
    if count % ROWS:
        padded = np.zeros((count + -count % ROWS, rows.shape[1]), np.float32)
        padded[:count] = rows
        rows = padded
    result: Array = rows.reshape(-1, ROWS, rows.shape[1]) @ weights
    return result.reshape(-1, weights.shape[1])[:count]


def chosen(rows: Array, mask: Mask) -> Array:
    """Return the columns of rows (B, N) that `mask` (N,) names, each row in one piece of memory.

    An index would give columns in one piece, whose sums are taken in another order than a row's.
    """
    return np.compress(mask, rows, axis=1)


def greatest(rows: Array, mask: Mask) -> Array:
    """Return the largest (B,) of the columns of rows (B, N) that `mask` names; -inf of none."""
    if 2 * np.count_nonzero(mask) < len(mask):
        found: Array = chosen(rows, mask).max(1, initial=LEAST)
        return found
    found = rows.max(1, initial=LEAST)
    # Only where one of the few others is the largest, these must be hidden.
    unsure = np.flatnonzero(chosen(rows, ~mask).max(1, initial=LEAST) >= found)
    among = rows[unsure]
    among[:, ~mask] = LEAST
    found[unsure] = among.max(1, initial=LEAST)
    return found
