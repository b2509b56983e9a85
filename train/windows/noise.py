"""White and pink noise as any frontend hears it, to be mixed under windows (system S5).

BirdCLEF 2021, section 2.1. Noise is made as samples and goes through the frontend's own components,
so that its spectrogram fluctuates, and is split into harmonic and percussive parts, as that of a
microphone.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.bundle.features import Frontend

__all__ = ["ColouredNoise", "make_noise"]

Array = NDArray[np.float32]
# Amplitude falls with frequency to this power: power falls by 0 or 3 dB an octave.
SLOPES = {"white": 0.0, "pink": 0.5}
WINDOWS = 4  # made once and cut at random: noise of which two cuts overlap is still another input


class ColouredNoise:
    """Draws windows of noise for one frontend.

    What is drawn depends on the generator alone, so a resumed run gets the same.
    """

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    def draw(self, rng: np.random.Generator) -> Array:
        """Draw band power (channels, n_mels, component frames) of white or of pink noise.

        Its level is arbitrary.
        """
        colours = self._components
        noise = colours[list(colours)[rng.integers(len(colours))]]
        frames = self._frontend.spec.component_frames
        start = int(rng.integers(noise.shape[2] - frames + 1))
        return noise[:, :, start : start + frames]

    @cached_property
    def _components(self) -> dict[str, Array]:
        length = WINDOWS * self._frontend.spec.window_samples
        rng = np.random.default_rng(0)
        return {
            name: self._frontend.components(make_noise(length, slope=slope, rng=rng))
            for name, slope in SLOPES.items()
        }


def make_noise(length: int, *, slope: float, rng: np.random.Generator) -> Array:
    """Return Gaussian noise (length,) float32 with mean 0 and mean power 0.01.

    Its amplitude falls with frequency to the power `slope`.
    """
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum[0] = 0
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -slope
    samples = np.fft.irfft(spectrum, length)
    scaled: Array = (0.1 * samples / np.sqrt(np.mean(samples**2))).astype(np.float32)
    return scaled
