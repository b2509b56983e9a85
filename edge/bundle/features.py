"""Samples to network input: the only feature code there is, used by training and by the device; librosa is its oracle.

spectrogram -> components (mel, harmonic, percussive; power) -> levels (dB or PCEN, scaled) -> float32 (channels, n_mels, frames).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import bottleneck
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from edge.bundle.medians import running_median
from edge.bundle.mel import mel_filters
from edge.bundle.spec import FixedLevel, FloorLevel, FrontendSpec, MaxLevel, PcenLevel

__all__ = ["Frontend", "harmonic_percussive", "pcen", "power_to_db"]

Array = NDArray[np.float32]
AMIN = np.float32(1e-10)  # librosa's floor for power in dB: -100 dB re full scale
BLOCK = 64  # frames transformed at a time: their double precision copies stay in the cache, which is twice as fast


class Frontend:
    """The frontend of one spec. Immutable after construction, so one object may serve several threads."""

    def __init__(self, spec: FrontendSpec) -> None:
        self.spec = spec
        self._taper = _taper(spec.window_function, spec.n_fft)

    def __call__(self, samples: Array) -> Array:
        """Features of one window: samples (window_samples,) float32 in -1..1 -> (channels, n_mels, frames) float32."""
        if samples.shape != (self.spec.window_samples,):
            raise ValueError(f"a window has {self.spec.window_samples} samples, got shape {samples.shape}")
        return self.levels(self.components(samples))

    def components(self, samples: Array) -> Array:
        """Mel power of each channel's component: samples (n,) of any length -> (channels, n_mels, 1 + n // hop) float32."""
        magnitude = self.magnitude(samples)
        parts: dict[str, Array] = {"mel": magnitude}
        if any(c.component != "mel" for c in self.spec.channels):
            harmonic, percussive = harmonic_percussive(magnitude, kernel=self.spec.hpss_kernel, power=self.spec.hpss_power)
            parts.update(harmonic=harmonic, percussive=percussive)
        mels = {name: self._mel_basis @ np.square(part).T for name, part in parts.items()}
        return np.stack([mels[c.component] for c in self.spec.channels])

    def levels(self, components: Array) -> Array:
        """Compress each channel: mel power (channels, n_mels, frames) -> network input of the same shape, float32."""
        hop_s = 1.0 / self.spec.frames_per_second
        pairs = zip(self.spec.channels, components, strict=True)
        return np.stack([LEVELS[c.level.kind](power, c.level, hop_s) for c, power in pairs])

    def magnitude(self, samples: Array) -> Array:
        """Centred STFT magnitude, frames first: (n,) -> (1 + n // hop, 1 + n_fft // 2) float32; zero padded like librosa.

        The transform is in double precision, as librosa's: in single, rounding shows in dB from 90 dB below the loudest bin.
        """
        padded = np.pad(np.asarray(samples, np.float32), self.spec.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.spec.n_fft)[:: self.spec.hop_length]
        magnitude = np.empty((len(frames), 1 + self.spec.n_fft // 2), np.float32)
        for first in range(0, len(frames), BLOCK):
            block = slice(first, first + BLOCK)
            magnitude[block] = np.abs(scipy.fft.rfft(frames[block] * self._taper))
        return magnitude

    @cached_property
    def _mel_basis(self) -> Array:
        spec = self.spec
        return mel_filters(
            sample_rate_hz=spec.sample_rate_hz, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin_hz=spec.fmin_hz, fmax_hz=spec.fmax_hz
        )


def _taper(name: str, length: int) -> NDArray[np.float64]:
    """One period of a window function, (length,)."""
    if name == "hann":
        hann: NDArray[np.float64] = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)[:-1])
        return hann
    import scipy.signal  # 50 MB and seconds on a small computer, for what hardly any bundle asks

    taper: NDArray[np.float64] = scipy.signal.get_window(name, length, fftbins=True)
    return taper


def harmonic_percussive(magnitude: Array, *, kernel: int, power: float) -> tuple[Array, Array]:
    """Split a magnitude spectrogram (frames, bins) into harmonic and percussive parts that add up to it.

    Median filters along time and along frequency, then soft masks (Fitzgerald 2010; `librosa.decompose.hpss` with margin 1).
    """
    along_time = running_median(magnitude, kernel)
    along_frequency = np.ascontiguousarray(running_median(np.ascontiguousarray(magnitude.T), kernel).T)
    harmonic, percussive = _soft_masks(along_time, along_frequency, power)
    return np.multiply(harmonic, magnitude, out=harmonic), np.multiply(percussive, magnitude, out=percussive)


def _soft_masks(one: Array, other: Array, power: float) -> tuple[Array, Array]:
    """one^p and other^p over their sum, in their own memory: scaled by the larger against underflow, 0.5 where both vanish.

    Each is divided on its own: 1 minus a mask near 1 would keep few digits of the weaker part, and dB show that.
    """
    scale = np.maximum(one, other)
    silent = scale < np.finfo(np.float32).tiny
    if silent.any():
        one[silent] = other[silent] = scale[silent] = 1
    for mask in (one, other):
        np.divide(mask, scale, out=mask)
        np.square(mask, out=mask) if power == 2 else np.power(mask, power, out=mask)  # the square is 20x faster
    total = np.add(one, other, out=scale)
    return np.divide(one, total, out=one), np.divide(other, total, out=other)


def power_to_db(power: Array) -> Array:
    """10 log10 of power with librosa's floor of 1e-10, re full scale 1."""
    db: Array = 10 * np.log10(np.maximum(power, AMIN))
    return db


def pcen(power: Array, level: PcenLevel, hop_s: float, state: Array | None = None) -> tuple[Array, Array]:
    """PCEN of mel power (n_mels, frames) and the state that continues it, so blocks give exactly what the whole would.

    `librosa.pcen`: a one-pole smoother of `time_constant_s` whose first state is its steady state for input 1.
    """
    import scipy.signal  # late: large

    constant = level.time_constant_s / hop_s
    b = (np.sqrt(1 + 4 * constant**2) - 1) / (2 * constant**2)
    if state is None:
        state = np.repeat([scipy.signal.lfilter_zi([b], [1, b - 1])], len(power), axis=0)
    if not power.size:  # scipy's filter would lose its state over an empty block
        return power, state
    smooth, state = scipy.signal.lfilter([b], [1, b - 1], power.astype(np.float64), zi=state)
    gain = np.exp(-level.gain * (np.log(level.eps) + np.log1p(smooth / level.eps)))
    compressed = level.bias**level.power * np.expm1(level.power * np.log1p(power * gain / level.bias))
    return compressed.astype(np.float32), state


def _max(power: Array, level: MaxLevel, hop_s: float) -> Array:
    db = power_to_db(power)
    scaled: Array = np.maximum(1 + (db - db.max()) / np.float32(level.range_db), 0)
    return scaled


def _fixed(power: Array, level: FixedLevel, hop_s: float) -> Array:
    scaled: Array = np.clip((power_to_db(power) - level.floor_db) / np.float32(level.ceiling_db - level.floor_db), 0, 1)
    return scaled


def _floor(power: Array, level: FloorLevel, hop_s: float) -> Array:
    db = power_to_db(power)
    above = db - bottleneck.median(db, axis=1)[:, None]
    scaled: Array = np.clip((above + level.below_db) / np.float32(level.below_db + level.above_db), 0, 1)
    return scaled


def _pcen(power: Array, level: PcenLevel, hop_s: float) -> Array:
    return pcen(power, level, hop_s)[0]


LEVELS: dict[str, Any] = {"max": _max, "fixed": _fixed, "floor": _floor, "pcen": _pcen}
