"""Recordings as arrays: decode, mix down, resample, loop what is shorter than a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

__all__ = ["loop_to", "read_audio"]

Array = NDArray[np.float32]


def read_audio(path: Path, sample_rate_hz: int, *, max_s: float | None = None) -> Array:
    """Return the recording as mono float32 (n,) at `sample_rate_hz`.

    With `max_s`, only its first seconds are read.
    """
    with soundfile.SoundFile(path) as file:
        frames = -1 if max_s is None else round(max_s * file.samplerate)
        samples = file.read(frames, dtype="float32", always_2d=True).mean(axis=1)
        resampled = soxr.resample(samples, file.samplerate, sample_rate_hz)
    mono: Array = resampled.astype(np.float32)
    return mono


def loop_to(samples: Array, length: int) -> Array:
    """Repeat samples from the beginning to `length` of them (Thakur et al. 2019).

    A longer recording is returned as it is.
    """
    if len(samples) >= length:
        return samples
    return np.tile(samples, -(-length // len(samples)))[:length]
