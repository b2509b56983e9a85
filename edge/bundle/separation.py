"""Harmonic-percussive separation of a spectrogram, by median filters and soft masks.

Source: Fitzgerald 2010, Harmonic/percussive separation using median filtering.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.medians import running_median

__all__ = ["harmonic_percussive"]

Array = NDArray[np.float32]


def harmonic_percussive(magnitude: Array, *, kernel: int, power: float) -> tuple[Array, Array]:
    """Split a magnitude spectrogram (frames, bins) into harmonic and percussive parts.

    The parts add up to the whole. Median filters of `kernel` (odd) run along time and along
    frequency; their results, to the `power`, are soft masks. This is `librosa.decompose.hpss` with
    margin 1.
    """
    along_time = running_median(magnitude, kernel)
    along_frequency = np.ascontiguousarray(
        running_median(np.ascontiguousarray(magnitude.T), kernel).T
    )
    harmonic, percussive = _soft_masks(along_time, along_frequency, power)
    np.multiply(harmonic, magnitude, out=harmonic)
    np.multiply(percussive, magnitude, out=percussive)
    return harmonic, percussive


def _soft_masks(one: Array, other: Array, power: float) -> tuple[Array, Array]:
    """Return one^p and other^p over their sum, in their own memory; 0.5 where both vanish.

    Both are scaled by the larger first, against underflow. Each is divided on its own: 1 minus a
    mask near 1 would keep few digits of the weaker part, and dB show that.
    """
    scale = np.maximum(one, other)
    silent = scale < np.finfo(np.float32).tiny
    if silent.any():
        one[silent] = other[silent] = scale[silent] = 1
    for mask in (one, other):
        np.divide(mask, scale, out=mask)
        if power == 2:
            np.square(mask, out=mask)  # 20 times as fast as a power
        else:
            np.power(mask, power, out=mask)
    total = np.add(one, other, out=scale)
    return np.divide(one, total, out=one), np.divide(other, total, out=other)
