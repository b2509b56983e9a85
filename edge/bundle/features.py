"""Samples to network input: the only feature code there is, used by training and by the device.

spectrogram -> components (bands of the whole or of its parts; power) -> levels (dB or PCEN, scaled)
-> stacked and resized in time -> float32 (channels, n_mels, frames). librosa is the oracle of its
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bins import each_channel, joined, rows_within
from edge.bundle.channels import BINS, REAL, ChannelSpec, FixedLevel, PowerLawLevel
from edge.bundle.compression import compressed, power_to_db
from edge.bundle.mel import band_weights, resampling, resized_in_time
from edge.bundle.overlap import FrameMemory, Frames
from edge.bundle.realbands import RealBands
from edge.bundle.separation import harmonic_percussive
from edge.bundle.spec import FrontendSpec
from edge.bundle.transform import framed, magnitude, taper
from edge.errors import SpecError

__all__ = ["Frontend", "power_to_db"]

Array = NDArray[np.float32]
# Of samples: what is taken away first, which keeps them exact, then a factor, then what is added.
Scale = tuple[np.float32, np.float32, np.float32]
SEPARATED = ("harmonic", "percussive")
OF_EACH_FRAME = (FixedLevel, PowerLawLevel)  # levels that know nothing of the rest of the window
AS_IT_IS: Scale = (np.float32(0), np.float32(1), np.float32(0))
MIN_MAX_EPS = np.float32(1e-6)  # so that a constant window can be divided by its range


class Frontend:
    """The frontend of one spec; immutable after construction, so that threads may share it.

    `bands` are the arrays of `FrontendSpec.stored_bands`: weights (n_mels, 1 + n_fft // 2) of bins.
    Without them there are no features of the components that need them.
    """

    def __init__(self, spec: FrontendSpec, bands: Mapping[str, Array] | None = None) -> None:
        self.spec = spec
        sizes = {spec.n_fft, *(c.n_fft for c in spec.channels if c.n_fft)}
        self._tapers = {n_fft: taper(spec.window_function, n_fft) for n_fft in sizes}
        self._real = {
            channel: RealBands(
                (bands or {})[channel.bands], self._tapers[channel.n_fft or spec.n_fft]
            )
            for channel in spec.channels
            if channel.bands is not None and channel.bands in (bands or {})
        }

    def __call__(self, samples: Array, *, memory: FrameMemory | None = None) -> Array:
        """Return the features of one window, `spec.shape` float32.

        `samples` are (window_samples,) float32 in -1..1; raises ValueError for another shape. Those
        of a stream share a `memory`, which has begun this window.
        """
        if samples.shape != (self.spec.window_samples,):
            raise ValueError(
                f"a window has {self.spec.window_samples} samples, got shape {samples.shape}"
            )
        components = self.components(samples, scale=self._scale(samples), memory=memory)
        return self.levels(components, memory=memory if self.spec.scaling == "none" else None)

    def _scale(self, samples: Array) -> Scale:
        """Return the scale that the spec asks for of the samples of a window."""
        if self.spec.scaling == "none":
            return AS_IT_IS
        lowest, highest = samples.min(), samples.max()
        factor = np.float32(2) / (highest - lowest + MIN_MAX_EPS)
        # Silence is zero, and stays exactly that, unless all of the window is far from it.
        beside = lowest > 0 or highest < 0
        middle = (lowest + highest) / 2 if beside else np.float32(0)
        return middle, factor, (middle - lowest) * factor - np.float32(1)

    def components(
        self, samples: Array, *, scale: Scale = AS_IT_IS, memory: FrameMemory | None = None
    ) -> Array:
        """Return the band power of each channel's component, before any level.

        Samples (n,) of any length become (channels, n_mels, 1 + n // hop) float32, on the `scale`;
        of a waveform (1, 1, n), of bins (1, those of all channels, 1 + n // hop).
        """
        if (middle := scale[0]) != 0:
            samples, memory = samples - middle, None
        if self.spec.is_waveform:
            scaled, _ = _on_scale(samples, scale, memory)
            return np.asarray(scaled, np.float32)[np.newaxis, np.newaxis]
        separates = any(c.component in SEPARATED for c in self.spec.channels)
        parts = self._parts(samples, scale, memory) if separates else {}
        # Channels may differ in their level alone.
        keys = [(c.component_key, c.descending) for c in self.spec.channels]
        bands = {
            key: self._real_bands(channel, samples, scale, memory)
            if channel.component == REAL
            else self._bands(channel, parts)
            if parts
            else self._whole_bands(channel, samples, scale, memory)
            for key, channel in dict(zip(keys, self.spec.channels, strict=True)).items()
        }
        return joined(self.spec, [bands[key] for key in keys])

    def _whole_bands(
        self, channel: ChannelSpec, samples: Array, scale: Scale, memory: FrameMemory | None
    ) -> Array:
        """Return the bands of a channel that holds all of the sound, each frame by itself."""
        samples, memory = _on_scale(samples, scale, memory)
        spec, n_fft = self.spec, channel.n_fft or self.spec.n_fft
        frames, window = self._frames(samples, n_fft, spec.hop_length), self._tapers[n_fft]
        name, within = channel.component_key, self._within(len(samples), n_fft, spec.hop_length)
        return _known(
            memory,
            name,
            within,
            lambda new: self._in_bands(channel, n_fft, magnitude(frames[new], window)),
        )

    def _parts(self, samples: Array, scale: Scale, memory: FrameMemory | None) -> dict[str, Array]:
        """Return the magnitudes that the channels need, by their names."""
        channels = [c for c in self.spec.channels if c.component != REAL]
        samples, memory = _on_scale(samples, scale, memory)
        parts: dict[str, Array] = {}
        for channel in channels:
            n_fft = channel.n_fft or self.spec.n_fft
            whole = f"whole/{n_fft}"
            if whole not in parts:
                parts[whole] = self.magnitude(samples, n_fft, memory=memory)
            if channel.component in SEPARATED and "harmonic" not in parts:
                parts["harmonic"], parts["percussive"] = harmonic_percussive(
                    parts[whole], kernel=self.spec.hpss_kernel, power=self.spec.hpss_power
                )
        return parts

    def levels(self, components: Array, *, memory: FrameMemory | None = None) -> Array:
        """Compress the components of a window, of their shape, to the network's input.

        A `memory` is of windows whose components do not depend on the rest of the window.
        """
        powers = each_channel(self.spec, components)
        channels = zip(self.spec.channels, powers, strict=True)
        return self._arranged(np.stack([self._level(c, power, memory) for c, power in channels]))

    def _level(self, channel: ChannelSpec, power: Array, memory: FrameMemory | None) -> Array:
        level = self._compressed(channel, power, memory)
        if channel.component != BINS:
            return level
        return resampling(len(level), self.spec.n_mels) @ level

    def _compressed(self, channel: ChannelSpec, power: Array, memory: FrameMemory | None) -> Array:
        hop_s = 1.0 / self.spec.frames_per_second
        if memory is None or not isinstance(channel.level, OF_EACH_FRAME):
            return compressed(power, channel.level, hop_s=hop_s)
        spec = self.spec
        hop_length, n_fft = channel.hop_length or spec.hop_length, channel.n_fft or spec.n_fft
        within = self._within(spec.window_samples, n_fft, hop_length)
        name = f"{channel.component_key}/{channel.level}"
        return memory.values(
            name, within, lambda new: compressed(power[:, new], channel.level, hop_s=hop_s)
        )

    def magnitude(
        self, samples: Array, n_fft: int | None = None, *, memory: FrameMemory | None = None
    ) -> Array:
        """Return the STFT magnitude, frames first and zero padded like librosa's where centred.

        Samples (n,) become (1 + n // hop, 1 + n_fft // 2) float32. The transform is in double
        precision, as librosa's: in single, rounding shows in dB from 90 dB below the loudest bin.
        """
        n_fft = n_fft or self.spec.n_fft
        frames = self._frames(samples, n_fft, self.spec.hop_length)
        window = self._tapers[n_fft]
        name, within = f"magnitude/{n_fft}", self._within(len(samples), n_fft, self.spec.hop_length)
        return _known(memory, name, within, lambda new: magnitude(frames[new], window).T).T

    def _within(self, samples: int, n_fft: int, hop_length: int) -> Frames:
        return Frames.of(samples, n_fft=n_fft, hop_length=hop_length, centred=self.spec.centred)

    def _frames(self, samples: Array, n_fft: int, hop_length: int) -> Array:
        centred = self.spec.centred
        return framed(samples, n_fft=n_fft, hop_length=hop_length, centred=centred)

    def _real_bands(
        self, channel: ChannelSpec, samples: Array, scale: Scale, memory: FrameMemory | None
    ) -> Array:
        spec = self.spec
        if channel not in self._real:
            raise SpecError(f"bands: {channel.bands} are stored in the bundle, and were not given")
        n_fft, hop_length = channel.n_fft or spec.n_fft, channel.hop_length or spec.hop_length
        frames, real = self._frames(samples, n_fft, hop_length), self._real[channel]
        name, within = channel.component_key, self._within(len(samples), n_fft, hop_length)
        bands = _known(memory, name, within, lambda new: real(frames[new]))
        power = np.square(real.scaled(bands, factor=scale[1], shift=scale[2]))
        return power[::-1] if channel.descending else power

    def _bands(self, channel: ChannelSpec, parts: dict[str, Array]) -> Array:
        n_fft = channel.n_fft or self.spec.n_fft
        part = parts.get(channel.component, parts[f"whole/{n_fft}"])
        return self._in_bands(channel, n_fft, part)

    def _in_bands(self, channel: ChannelSpec, n_fft: int, part: Array) -> Array:
        """Return the power (n_mels, frames) of a magnitude (frames, 1 + n_fft // 2) in bands."""
        power = np.square(part).T
        if channel.component == BINS:
            return power[rows_within(self.spec, channel)]
        return self._basis("linear" if channel.component == "linear" else "mel", n_fft) @ power

    def _basis(self, scale: str, n_fft: int) -> Array:
        """Return the weights (n_mels, 1 + n_fft // 2) of the bins in each band."""
        spec = self.spec
        return band_weights(
            scale, spec.sample_rate_hz, n_fft, spec.n_mels, spec.fmin_hz, spec.fmax_hz
        )

    def _arranged(self, features: Array) -> Array:
        """Put stretches of the window side by side as channels, then resize time and bands."""
        spec = self.spec
        if spec.stack > 1:
            length, step = spec.stretch_frames, spec.stretch_frames - spec.stack_overlap
            starts = range(0, spec.stack * step, step)
            stretches = [features[:, :, start : start + length] for start in starts]
            features = np.stack(stretches, axis=1).reshape(-1, spec.n_mels, length)
        if spec.frames is not None and spec.frames != features.shape[2]:
            features = resized_in_time(features, spec.frames)
        if spec.resized_bands is not None and spec.resized_bands != features.shape[1]:
            features = resampling(features.shape[1], spec.resized_bands) @ features
        return np.ascontiguousarray(features)


def _on_scale(
    samples: Array, scale: Scale, memory: FrameMemory | None
) -> tuple[Array, FrameMemory | None]:
    """Return samples without their middle on a scale, and the memory that still holds for them."""
    if scale == AS_IT_IS:
        return samples, memory
    _, factor, shift = scale
    return samples * factor + shift, None


def _known(
    memory: FrameMemory | None, name: str, frames: Frames, compute: Callable[[slice], Array]
) -> Array:
    """Return what `compute` gives for all frames, with the help of a memory where there is one."""
    return compute(slice(frames.count)) if memory is None else memory.values(name, frames, compute)
