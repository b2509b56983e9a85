"""Sounds that the project makes itself, on which imported networks prove themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FrontendSpec

__all__ = ["trill"]


def trill(spec: FrontendSpec) -> NDArray[np.float32]:
    """Return a window of a bird-like trill over noise: (window_samples,) float32."""
    rng = np.random.default_rng(20_211_001)
    t = np.arange(spec.window_samples) / spec.sample_rate_hz
    highest_hz = spec.sample_rate_hz / 2.5
    pitch_hz = min(4_000, highest_hz / 2) + min(600, highest_hz / 8) * np.sin(2 * np.pi * 14 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / spec.sample_rate_hz
    swell = np.clip(np.sin(2 * np.pi * 0.5 * t), 0, 1)
    sound = 0.3 * swell * np.sin(phase) + 0.01 * rng.standard_normal(len(t))
    samples: NDArray[np.float32] = sound.astype(np.float32)
    return samples
