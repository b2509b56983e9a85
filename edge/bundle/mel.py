"""The mel scale and its filters, as librosa has them by default.

Slaney's scale, and triangles of equal area. librosa is the oracle of the tests. It is not called,
because importing it takes longer than judging a minute of audio and more memory than the rest of a
recorder: it brings a compiler along. Source: M. Slaney, Auditory Toolbox, version 2, Interval
Research technical report 1998-010.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["band_weights", "hz_between", "mel_filters", "resampling", "resized_in_time"]

LINEAR_HZ = 200 / 3  # width of a mel below the knee
KNEE_HZ = 1000.0  # above it the scale is logarithmic
KNEE_MEL = KNEE_HZ / LINEAR_HZ
LARGEST_DENSE = 1 << 22  # weights of a resize; more are kept without the zeros among them
LOG_STEP = np.log(6.4) / 27  # 27 mels from 1 kHz to 6.4 kHz


def mel_filters(
    *, sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float | None
) -> NDArray[np.float32]:
    """Return the weights (n_mels, 1 + n_fft // 2) of a power spectrum's bins in each band.

    The bands reach from `fmin_hz` to `fmax_hz` (None: half the sample rate).
    """
    top_hz = sample_rate_hz / 2 if fmax_hz is None else fmax_hz
    corners = _hz(np.linspace(_mel(fmin_hz), _mel(top_hz), n_mels + 2))[:, np.newaxis]
    lower = corners[:-2]
    centre = corners[1:-1]
    upper = corners[2:]
    bins = np.linspace(0, sample_rate_hz / 2, 1 + n_fft // 2)
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    weights: NDArray[np.float64] = np.maximum(triangles, 0) * 2 / (upper - lower)
    return weights.astype(np.float32)


@lru_cache(maxsize=16)
def band_weights(
    scale: str, sample_rate_hz: int, n_fft: int, bands: int, fmin_hz: float, fmax_hz: float
) -> NDArray[np.float32]:
    """Return the weights (bands, 1 + n_fft // 2) of bins on the `scale` mel or linear."""
    if scale == "mel":
        return mel_filters(
            sample_rate_hz=sample_rate_hz,
            n_fft=n_fft,
            n_mels=bands,
            fmin_hz=fmin_hz,
            fmax_hz=fmax_hz,
        )
    hz = np.linspace(0, sample_rate_hz / 2, 1 + n_fft // 2)
    inside = np.flatnonzero((hz >= fmin_hz) & (hz <= fmax_hz))
    weights = np.zeros((bands, len(hz)), np.float32)
    weights[:, inside] = resampling(len(inside), bands)
    return weights


@lru_cache(maxsize=16)
def resampling(before: int, after: int) -> NDArray[np.float32]:
    """Return the weights (after, before) of a bilinear resize of one axis, corners not aligned.

    Where it makes smaller, the triangle is as wide as the step, so that nothing falls between two
    points (antialiasing, as Pillow's and PyTorch's `antialias=True`).
    """
    step = before / after
    width = max(step, 1.0)
    centres = (np.arange(after)[:, None] + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(before) - centres) / width)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return normalised


def resized_in_time(features: NDArray[np.float32], after: int) -> NDArray[np.float32]:
    """Return features (channels, bands, frames) with `after` frames, as `resampling` resizes."""
    channels, bands, before = features.shape
    if before * after <= LARGEST_DENSE:
        return features @ resampling(before, after).T
    rows = features.reshape(-1, before)
    resized = np.asarray(_sparse_resampling(before, after) @ rows.T, np.float32)
    return resized.T.reshape(channels, bands, after)


@lru_cache(maxsize=4)
def _sparse_resampling(before: int, after: int) -> Any:
    """Return the weights of `resampling` without their zeros, a scipy.sparse matrix."""
    from scipy.sparse import csr_matrix  # late: large

    step = before / after
    width = max(step, 1.0)
    centres = (np.arange(after)[:, None] + 0.5) * step - 0.5
    # Every point less than the width away; those beyond the ends have no weight.
    near = np.ceil(centres - width).astype(np.int64) + np.arange(int(2 * width) + 2)
    there = (near >= 0) & (near < before)
    weights = np.maximum(0, 1 - np.abs(near - centres) / width) * there
    weights /= weights.sum(axis=1, keepdims=True)
    rows, taps = np.nonzero(weights)
    values = weights[rows, taps].astype(np.float32)
    return csr_matrix((values, (rows, near[rows, taps])), shape=(after, before))


def hz_between(low_hz: float, high_hz: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies at `shares`, 0..1, of the way from low to high on the mel scale."""
    return _hz(_mel(low_hz) + shares * (_mel(high_hz) - _mel(low_hz)))


def _mel(hz: float) -> float:
    return hz / LINEAR_HZ if hz < KNEE_HZ else KNEE_MEL + float(np.log(hz / KNEE_HZ) / LOG_STEP)


def _hz(mel: ArrayLike) -> NDArray[np.float64]:
    mel = np.asarray(mel, np.float64)
    result: NDArray[np.float64] = np.where(
        mel < KNEE_MEL, mel * LINEAR_HZ, KNEE_HZ * np.exp(LOG_STEP * (mel - KNEE_MEL))
    )
    return result
