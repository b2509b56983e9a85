"""Samples to network input: the only feature code there is, used by training and by the device;
librosa is its oracle.

spectrogram -> components (bands of the whole or of its parts; power) -> levels (dB or PCEN, scaled)
-> stacked and resized in time -> float32 (channels, n_mels, frames).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import bottleneck
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from edge.bundle.medians import running_median
from edge.bundle.mel import mel_filters
from edge.bundle.spec import (
    ChannelSpec,
    FixedLevel,
    FloorLevel,
    FrontendSpec,
    MaxLevel,
    PcenLevel,
    QuantileLevel,
)

__all__ = ["Frontend", "harmonic_percussive", "pcen", "power_to_db", "resampling"]

Array = NDArray[np.float32]
AMIN = np.float32(1e-10)  # librosa's floor for power in dB: -100 dB re full scale
# frames transformed at a time: their double precision copies stay in the cache, which is twice as
# fast
BLOCK = 64


class Frontend:
    """The frontend of one spec. Immutable after construction, so one object may serve several
    threads.
    """

    def __init__(self, spec: FrontendSpec) -> None:
        self.spec = spec
        sizes = {spec.n_fft, *(c.n_fft for c in spec.channels if c.n_fft)}
        self._tapers = {n_fft: _taper(spec.window_function, n_fft) for n_fft in sizes}

    def __call__(self, samples: Array) -> Array:
        """Features of one window: samples (window_samples,) float32 in -1..1 -> (channels, n_mels,
        frames) float32.
        """
        if samples.shape != (self.spec.window_samples,):
            raise ValueError(
                f"a window has {self.spec.window_samples} samples, got shape {samples.shape}"
            )
        return self.levels(self.components(samples))

    def components(self, samples: Array) -> Array:
        """Band power of each channel's component: samples (n,) of any length -> (channels, n_mels,
        1 + n // hop) float32.
        """
        parts: dict[str, Array] = {}
        for channel in self.spec.channels:
            n_fft = channel.n_fft or self.spec.n_fft
            if f"whole/{n_fft}" not in parts:
                parts[f"whole/{n_fft}"] = self.magnitude(samples, n_fft)
            if channel.component in ("harmonic", "percussive") and "harmonic" not in parts:
                parts["harmonic"], parts["percussive"] = harmonic_percussive(
                    parts[f"whole/{n_fft}"],
                    kernel=self.spec.hpss_kernel,
                    power=self.spec.hpss_power,
                )
        return np.stack([self._bands(channel, parts) for channel in self.spec.channels])

    def levels(self, components: Array) -> Array:
        """Compress each channel: band power (channels, n_mels, frames) of one window -> the
        network's input, `spec.shape`.
        """
        hop_s = 1.0 / self.spec.frames_per_second
        pairs = zip(self.spec.channels, components, strict=True)
        return self._arranged(
            np.stack([LEVELS[c.level.kind](power, c.level, hop_s) for c, power in pairs])
        )

    def _bands(self, channel: ChannelSpec, parts: dict[str, Array]) -> Array:
        n_fft = channel.n_fft or self.spec.n_fft
        scale = "linear" if channel.component == "linear" else "mel"
        part = parts.get(channel.component, parts[f"whole/{n_fft}"])
        return self._basis(scale, n_fft) @ np.square(part).T

    def _arranged(self, features: Array) -> Array:
        """Stretches of the window side by side as channels, then the time axis resized."""
        spec = self.spec
        if spec.stack > 1:
            length = features.shape[2] // spec.stack
            stretches = features[:, :, : spec.stack * length].reshape(
                len(features), spec.n_mels, spec.stack, length
            )
            features = stretches.transpose(0, 2, 1, 3).reshape(-1, spec.n_mels, length)
        if spec.frames is not None and spec.frames != features.shape[2]:
            features = features @ resampling(features.shape[2], spec.frames).T
        return np.ascontiguousarray(features)

    def magnitude(self, samples: Array, n_fft: int | None = None) -> Array:
        """Centred STFT magnitude, frames first: (n,) -> (1 + n // hop, 1 + n_fft // 2) float32;
        zero padded like librosa.

        The transform is in double precision, as librosa's: in single, rounding shows in dB from 90
        dB below the loudest bin.
        """
        n_fft = n_fft or self.spec.n_fft
        padded = np.pad(np.asarray(samples, np.float32), n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: self.spec.hop_length]
        magnitude = np.empty((len(frames), 1 + n_fft // 2), np.float32)
        for first in range(0, len(frames), BLOCK):
            block = slice(first, first + BLOCK)
            magnitude[block] = np.abs(scipy.fft.rfft(frames[block] * self._tapers[n_fft]))
        return magnitude

    def _basis(self, scale: str, n_fft: int) -> Array:
        """Weights (n_mels, 1 + n_fft // 2) of the bins in each band."""
        spec = self.spec
        return _basis(scale, spec.sample_rate_hz, n_fft, spec.n_mels, spec.fmin_hz, spec.fmax_hz)


@lru_cache(maxsize=16)
def _basis(
    scale: str, sample_rate_hz: int, n_fft: int, bands: int, fmin_hz: float, fmax_hz: float
) -> Array:
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
def resampling(before: int, after: int) -> Array:
    """Weights (after, before) of a bilinear resize of one axis, corners not aligned.

    Where it makes smaller, the triangle is as wide as the step, so that nothing falls between two
    points (antialiasing, as Pillow's and PyTorch's `antialias=True`).
    """
    step = before / after
    width = max(step, 1.0)
    centres = (np.arange(after)[:, None] + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(before) - centres) / width)
    normalised: Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _taper(name: str, length: int) -> NDArray[np.float64]:
    """One period of a window function, (length,)."""
    if name == "hann":
        hann: NDArray[np.float64] = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)[:-1])
        return hann
    import scipy.signal  # 50 MB and seconds on a small computer, for what hardly any bundle asks

    taper: NDArray[np.float64] = scipy.signal.get_window(name, length, fftbins=True)
    return taper


def harmonic_percussive(magnitude: Array, *, kernel: int, power: float) -> tuple[Array, Array]:
    """Split a magnitude spectrogram (frames, bins) into harmonic and percussive parts that add up
    to it.

    Median filters along time and along frequency, then soft masks (Fitzgerald 2010;
    `librosa.decompose.hpss` with margin 1).
    """
    along_time = running_median(magnitude, kernel)
    along_frequency = np.ascontiguousarray(
        running_median(np.ascontiguousarray(magnitude.T), kernel).T
    )
    harmonic, percussive = _soft_masks(along_time, along_frequency, power)
    return np.multiply(harmonic, magnitude, out=harmonic), np.multiply(
        percussive, magnitude, out=percussive
    )


def _soft_masks(one: Array, other: Array, power: float) -> tuple[Array, Array]:
    """one^p and other^p over their sum, in their own memory: scaled by the larger against
    underflow, 0.5 where both vanish.

    Each is divided on its own: 1 minus a mask near 1 would keep few digits of the weaker part, and
    dB show that.
    """
    scale = np.maximum(one, other)
    silent = scale < np.finfo(np.float32).tiny
    if silent.any():
        one[silent] = other[silent] = scale[silent] = 1
    for mask in (one, other):
        np.divide(mask, scale, out=mask)
        # the square is 20x faster
        np.square(mask, out=mask) if power == 2 else np.power(mask, power, out=mask)
    total = np.add(one, other, out=scale)
    return np.divide(one, total, out=one), np.divide(other, total, out=other)


def power_to_db(power: Array) -> Array:
    """10 log10 of power with librosa's floor of 1e-10, re full scale 1."""
    db: Array = 10 * np.log10(np.maximum(power, AMIN))
    return db


def pcen(
    power: Array, level: PcenLevel, hop_s: float, state: Array | None = None
) -> tuple[Array, Array]:
    """PCEN of mel power (n_mels, frames) and the state that continues it, so blocks give exactly
    what the whole would.

    `librosa.pcen`: a one-pole smoother of `time_constant_s` whose first state is its steady state
    for input 1.
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
    compressed = level.bias**level.power * np.expm1(
        level.power * np.log1p(power * gain / level.bias)
    )
    return compressed.astype(np.float32), state


def _max(power: Array, level: MaxLevel, hop_s: float) -> Array:
    db = power_to_db(power)
    scaled: Array = np.maximum(1 + (db - db.max()) / np.float32(level.range_db), 0)
    return scaled


def _fixed(power: Array, level: FixedLevel, hop_s: float) -> Array:
    scaled: Array = np.clip(
        (power_to_db(power) - level.floor_db) / np.float32(level.ceiling_db - level.floor_db), 0, 1
    )
    return scaled


def _floor(power: Array, level: FloorLevel, hop_s: float) -> Array:
    db = power_to_db(power)
    above = db - bottleneck.median(db, axis=1)[:, None]
    scaled: Array = np.clip(
        (above + level.below_db) / np.float32(level.below_db + level.above_db), 0, 1
    )
    return scaled


def _pcen(power: Array, level: PcenLevel, hop_s: float) -> Array:
    return pcen(power, level, hop_s)[0]


def _quantile(power: Array, level: QuantileLevel, hop_s: float) -> Array:
    db = power_to_db(power)
    low, high = np.quantile(db, [level.low, level.high]).astype(np.float32)
    # a constant channel has no range
    scaled: Array = np.clip((db - low) / max(high - low, np.float32(1e-3)), 0, 1)
    return scaled


LEVELS: dict[str, Any] = {
    "max": _max,
    "fixed": _fixed,
    "floor": _floor,
    "pcen": _pcen,
    "quantile": _quantile,
}
