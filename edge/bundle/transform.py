"""The short-time transform: frames of samples, a taper for them, the magnitude of their bins."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["framed", "magnitude", "taper"]

Array = NDArray[np.float32]
# Frames transformed at a time: their double precision copies stay in the cache, which is twice as
# fast.
BLOCK = 64


def framed(samples: Array, *, n_fft: int, hop_length: int, centred: bool) -> Array:
    """Return a view (frames, n_fft) of samples (n,), which are padded where frames are centred."""
    padded = np.asarray(samples, np.float32)
    if centred:
        padded = np.pad(padded, n_fft // 2)
    elif len(padded) < n_fft:
        padded = np.pad(padded, (0, n_fft - len(padded)))
    frames: Array = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    return frames


def magnitude(frames: Array, window: NDArray[np.float64]) -> Array:
    """Return the magnitude (frames, bins) of frames (frames, n_fft) under a taper `window`."""
    result = np.empty((len(frames), 1 + len(window) // 2), np.float32)
    for first in range(0, len(frames), BLOCK):
        block = slice(first, first + BLOCK)
        result[block] = np.abs(_rfft()(frames[block] * window))
    return result


@cache
def _rfft() -> Callable[[NDArray[np.float64]], NDArray[np.complex128]]:
    """Return NumPy's transform, which is SciPy's since NumPy 2: to import that takes 0.4 s."""
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        return np.fft.rfft
    import scipy.fft

    transform: Callable[[NDArray[np.float64]], NDArray[np.complex128]] = scipy.fft.rfft
    return transform


def taper(name: str, length: int) -> NDArray[np.float64]:
    """Return one period of the window function `name`, (length,)."""
    if name == "hann":
        hann: NDArray[np.float64] = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)[:-1])
        return hann
    import scipy.signal  # late: 50 MB and seconds on a small computer, and few bundles need it

    function: NDArray[np.float64] = scipy.signal.get_window(name, length, fftbins=True)
    return function
