"""A voice that says nothing: a glottal buzz through the moving formants of vowels.

A recorder near a path hears people, and a study that has recorded none must still reject them. The
formants are those of vowels in general (Peterson and Barney 1952, table II).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["voice"]

Floats = NDArray[np.float64]
VOWELS_HZ = (
    *((270, 2290, 3010), (530, 1840, 2480), (730, 1090, 2440), (570, 840, 2410)),
    *((300, 870, 2240), (490, 1350, 1690), (660, 1720, 2410)),
)
WIDTHS_HZ = (80.0, 110.0, 160.0)
SYLLABLES_PER_SECOND = 4.5
PAUSES = 0.2  # share of syllables that are silent
HIGHEST_HZ = 4000.0


def voice(count: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Return samples (count,) of one speaker, of arbitrary level."""
    t = np.arange(count) / rate_hz
    marks = np.arange(0, t[-1] + 1, 1 / SYLLABLES_PER_SECOND)
    marks = marks + rng.uniform(0, 0.12, len(marks))
    vowels = np.array(VOWELS_HZ, np.float64)
    spoken = vowels[rng.integers(len(vowels), size=len(marks))] * rng.uniform(0.95, 1.2)
    formants = [np.interp(t, marks, column) for column in spoken.T]
    pitch = rng.uniform(90, 230)
    glide = np.interp(t, marks, rng.normal(0, 0.12, len(marks)))
    pitch_hz = pitch * np.exp(glide)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    samples = np.zeros(count)
    for k in range(1, int(HIGHEST_HZ / pitch) + 1):
        resonance = sum(
            1 / (1 + ((k * pitch_hz - f) / width) ** 2)
            for f, width in zip(formants, WIDTHS_HZ, strict=True)
        )
        samples += np.sin(k * phase) * resonance / k
    loudness = np.where(rng.random(len(marks)) < PAUSES, 0.0, rng.uniform(0.4, 1, len(marks)))
    opening = 0.55 + 0.45 * np.sin(2 * np.pi * SYLLABLES_PER_SECOND * t)
    hiss = 0.002 * np.abs(samples).max() * rng.standard_normal(count)
    heard: Floats = samples * np.interp(t, marks, loudness) * opening + hiss
    return heard
