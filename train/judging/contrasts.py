"""The comparisons of an open-set evaluation: known species against which outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.judging.truth import Truth

__all__ = ["ALL", "NOISES", "UNKNOWNS", "contrasts"]

UNKNOWNS = "unknown species"
NOISES = "noise and background"
ALL = "all, unknown species half"


def contrasts(truth: Truth) -> dict[str, NDArray[np.float64]]:
    """Return the weights (N,) of knowns and outliers for each comparison that there is data for.

    In `ALL` unknown species weigh as much as all kinds of noise and background together, of which
    each weighs the same.
    """
    known = truth.known.astype(np.float64)
    unknown = truth.unknown.astype(np.float64)
    noise = truth.noise.astype(np.float64)
    found = {}
    if unknown.any():
        found[UNKNOWNS] = known + unknown
    if noise.any():
        found[NOISES] = known + noise
    if unknown.any() and noise.any():
        kinds = np.unique(truth.kind[truth.noise])
        evenly = sum(
            (truth.kind == kind) / ((truth.kind == kind).sum() * len(kinds)) for kind in kinds
        )
        found[ALL] = known + len(known) * (unknown / unknown.sum() + evenly)
    return found
