"""The real part of a short-time transform in weighted bands, without the transform.

Taking the real part is linear, and so are the bands: a frame times one matrix gives the bands, and
the bins that no band needs are never computed. A cosine is the same on both sides of the middle of
a frame, so that the frame is folded there first, which halves the matrix.

A scale and an offset of the samples are applied to the bands, where they are exact: added to the
samples, an offset would leave its rounding in every band, and bands of faint sounds are less than
that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RealBands"]

Array = NDArray[np.float32]


class RealBands:
    """Bands of the real part: `weights` (bands, 1 + n_fft // 2) of bins, under `taper` (n_fft,)."""

    def __init__(self, weights: Array, taper: NDArray[np.float64]) -> None:
        n_fft = len(taper)
        self._half = half = n_fft // 2
        needed = np.flatnonzero(weights.any(axis=0))
        turns = np.outer(needed, np.arange(n_fft)) % n_fft / n_fft
        whole = weights[:, needed].astype(np.float64) @ (np.cos(2 * np.pi * turns) * taper)
        folded = whole[:, : half + 1].copy()
        # The taper may differ from side to side by its rounding.
        folded[:, 1:half] = (whole[:, 1:half] + whole[:, : n_fft - half : -1]) / 2
        self._matrix: Array = np.ascontiguousarray(folded.T, np.float32)
        # The transform of a constant is that of the taper, which is zero beyond its first bins.
        self._of_constant: NDArray[np.float64] = whole.sum(axis=1)

    def __call__(self, frames: Array) -> Array:
        """Return bands (bands, frames) float32 of frames (frames, n_fft)."""
        half = self._half
        folded = np.empty((len(frames), half + 1), np.float32)
        folded[:, 0], folded[:, half] = frames[:, 0], frames[:, half]
        np.add(frames[:, 1:half], frames[:, :half:-1], out=folded[:, 1:half])
        bands: Array = (folded @ self._matrix).T  # in this order it is a fifth faster
        return bands

    def scaled(self, bands: Array, *, factor: np.float32, shift: np.float32) -> Array:
        """Return `bands` as if their frames had been multiplied by `factor`, with `shift` added."""
        offset = (shift * self._of_constant).astype(np.float32)[:, np.newaxis]
        scaled: Array = bands * factor
        scaled += offset
        return scaled
