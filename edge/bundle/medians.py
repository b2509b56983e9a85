"""Running medians by minima and maxima of whole rows.

Harmonic-percussive separation spends its time here. A heap per value (`bottleneck.move_median`)
costs 90 ns a median whatever the machine's vector units can do; this costs 45 ns. Neighbouring
windows share the work, as in hierarchical sorting filters (Adams 2021, Fast median filters using
separable sorting networks): g windows in a row have k - g + 1 rows in common; sort those once, keep
the g ranks that can still be a median, then halve g and add the rows that each half has more. Every
step is a compare-exchange, so the result is exactly one of the inputs.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["running_median"]

Array = NDArray[np.float32]


def running_median(rows: Array, kernel: int) -> Array:
    """Return the medians of `kernel` (odd) neighbours along axis 0, with mirrored edges.

    Rows (n, m), n >= 1 and without NaN, become (n, m). The result equals
    `scipy.ndimage.median_filter(rows, size=(kernel, 1), mode="reflect")`, bit for bit.
    """
    # This is g: the largest power of two that leaves at least g rows in common.
    shared = 1 << ((kernel + 1) // 2).bit_length() - 1
    # The last group may reach past the end; its surplus is cut off again below.
    groups = -(-len(rows) // shared)
    sources = np.pad(np.arange(len(rows)), kernel // 2, mode="symmetric")
    sources = np.pad(sources, (0, groups * shared - len(rows)))
    # The first row of each group, as an index into `sources`.
    first: NDArray[np.intp] = shared * np.arange(groups)

    common = _sorted([rows[sources[first + shared - 1 + j]] for j in range(kernel - shared + 1)])
    spare = (len(common) - shared) // 2
    ranks = common[spare : spare + shared]
    while len(ranks) > 1:
        h = len(ranks) // 2
        # The first half of a group adds the rows just before the common ones, the second half those
        # just behind.
        extra = first[:, None] + np.array([h - 1, kernel])
        added = _sorted([rows[sources[extra + j]] for j in range(h)])
        ranks = [rank.reshape(-1, rows.shape[1]) for rank in _middle(ranks, added)]
        first = (first[:, None] + np.array([0, h])).ravel()
    return ranks[0][: len(rows)]


def _middle(ranks: list[Array], added: list[Array]) -> list[Array]:
    """Return the middle third of 2 h sorted `ranks` and h sorted `added`, whose memory is reused.

    The ranks are h arrays (groups, m) in each half, the added ones (groups, 2, m). Neither the
    lowest nor the highest third of these 3 h values can be the median: `larger` drops the lowest,
    the minima drop the highest.
    """
    h = len(added)
    larger = _sorted(
        [
            np.maximum(low[:, None], new, out=new)
            for low, new in zip(ranks[:h], reversed(added), strict=True)
        ]
    )
    return _sorted(
        [
            np.minimum(high[:, None], old, out=old)
            for high, old in zip(ranks[h:], reversed(larger), strict=True)
        ]
    )


def _sorted(rows: list[Array]) -> list[Array]:
    """Sort equally shaped arrays against each other, element by element, reusing their memory."""
    rows = list(rows)
    spare = np.empty_like(rows[0])
    for i, j in _comparators(len(rows)):
        low = np.minimum(rows[i], rows[j], out=spare)
        np.maximum(rows[i], rows[j], out=rows[j])
        rows[i], spare = low, rows[i]
    return rows


@cache
def _comparators(n: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs to compare, in order, that sort n values: Batcher's merge exchange.

    Source: Knuth, The Art of Computer Programming 3, algorithm 5.2.2M, whose names these are.
    """
    pairs = []
    top = 1 << max(n - 1, 1).bit_length() - 1
    p = top
    while p > 0:
        q = top
        r = 0
        d = p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d = q - p
            q //= 2
            r = p
        p //= 2
    return tuple(pairs)
