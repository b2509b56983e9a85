"""What a sample can be: the one bound for recordings and for devices."""

from __future__ import annotations

import numpy as np

from edge.types import Array

__all__ = ["LOUDEST", "valid", "with_silence"]

# Full scale is 1; integer samples stored as float reach 2**31, which overflows powers in float32
# further on.
LOUDEST = 1e6


def valid(samples: Array) -> bool:
    """Return whether every sample is a number within LOUDEST.

    The sum of such samples is finite. NaN and Inf do not compare as smaller.
    """
    return bool(samples.min(initial=0.0) >= -LOUDEST and samples.max(initial=0.0) <= LOUDEST)


def with_silence(samples: Array) -> tuple[Array, int]:
    """Return a copy whose invalid samples are silence, and how many these were."""
    good = np.abs(samples) <= LOUDEST
    return np.where(good, samples, np.float32(0)), int(good.size - np.count_nonzero(good))
