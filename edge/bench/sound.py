"""The sound that benchmarks hear: synthesised, and nothing that a front end can skip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from edge.types import Array

__all__ = ["synthesise", "write_recording"]


def synthesise(seconds: float, rate_hz: int) -> Array:
    """Return noise with a chirp once a second, (n,) float32: nothing that a front end can skip."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = 0.2 * np.sin(2 * np.pi * (2000 + 500 * (t % 1)) * t) * (t % 1 < 0.3)
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(t))
    samples: Array = (chirp + noise).astype(np.float32)
    return samples


def write_recording(file: Path, minutes: float) -> None:
    """Write a recording at 48 kHz, as most recorders do, so that resampling is measured, too."""
    minute = synthesise(60.0, 48_000)
    with soundfile.SoundFile(file, "w", samplerate=48_000, channels=1, subtype="PCM_16") as out:
        remaining = round(minutes * len(minute))
        while remaining > 0:
            out.write(minute[:remaining])
            remaining -= len(minute)
