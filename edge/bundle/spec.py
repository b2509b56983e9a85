"""The frontend as data: what turns samples into the network's input, written in every bundle.

A paper's frontend is another value of `FrontendSpec`, never another `if` in the code: each channel
names a *component* of the spectrogram (`Frontend.components` in `features.py`) and the *level* that
compresses it (`compressed` in `compression.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge.bundle.channels import (
    COMPONENT_NAMES,
    WAVEFORM,
    WHOLE,
    ChannelSpec,
    FixedLevel,
    FloorLevel,
    Level,
    MaxLevel,
    NoLevel,
    PcenLevel,
    PowerLawLevel,
    QuantileLevel,
)
from edge.bundle.digest import canonical_digest
from edge.bundle.frontend_limits import (
    LARGEST_KERNEL,
    LONGEST_WINDOW_S,
    MOST_BANDS,
    MOST_CHANNELS,
    refuse_large,
    refuse_other_beside_bins,
    refuse_strange_time,
    refuse_strange_waveform,
)
from edge.bundle.mapping import from_mapping, keys_of, list_of
from edge.errors import SpecError, shown

__all__ = [
    "WAVEFORM",
    "WHOLE",
    "ChannelSpec",
    "FixedLevel",
    "FloorLevel",
    "FrontendSpec",
    "Level",
    "MaxLevel",
    "NoLevel",
    "PcenLevel",
    "PowerLawLevel",
    "QuantileLevel",
    "from_mapping",
]


# Functions of scipy.signal.get_window that have no parameters.
TAPERS = (
    *("hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop", "cosine", "boxcar"),
    *("bartlett", "triang", "parzen", "bohman", "barthann"),
)

ARRANGED = ("stack", "stack_overlap", "frames", "resized_bands")  # keys that come after the levels


@dataclass(frozen=True, kw_only=True)
class FrontendSpec:
    """Everything that turns a window of samples into a (channels, n_mels, frames) float32 array.

    `n_mels` is the number of bands, of either scale. `stack` > 1 cuts the window into so many
    stretches, which become channels and share `stack_overlap` frames with the next; `frames` and
    `resized_bands` resize the axes bilinearly at the very end (None: as many as there are hops and
    bands). With `centred` frames the window is padded, so that one is centred on its first sample;
    else the first frame begins there. The `scaling` `min_max` makes the smallest sample of the
    window -1 and the largest 1.

    Of a waveform `n_mels` is 1, and each sample is a frame; its keys for spectrograms, which then
    serve pictures only, are left at their defaults.

    The defaults are system S1 (Thakur et al. 2019, section II.A) on this project's 5 s windows:
    frames of 1024 samples (46 ms) every 512, 40 mel bands, HPSS on the magnitude spectrogram with a
    median filter of 31 and soft masks of power 2 (Fitzgerald 2010).
    """

    sample_rate_hz: int = 22_050
    window_s: float = 5.0
    n_fft: int = 1024
    hop_length: int = 512
    window_function: str = "hann"
    n_mels: int = 40
    fmin_hz: float = 0.0
    fmax_hz: float = 11_025.0
    hpss_kernel: int = 31
    hpss_power: float = 2.0
    channels: tuple[ChannelSpec, ...] = tuple(
        ChannelSpec(component=c, level=MaxLevel()) for c in COMPONENT_NAMES[:3]
    )
    stack: int = 1
    stack_overlap: int = 0
    frames: int | None = None
    resized_bands: int | None = None
    centred: bool = True
    scaling: Literal["none", "min_max"] = "none"

    def __post_init__(self) -> None:
        self._check_window()
        self._check_bands()
        self._check_channels()
        refuse_strange_time(self)
        refuse_other_beside_bins(self)
        refuse_large(self)
        if self.is_waveform:
            refuse_strange_waveform(self)

    def _check_window(self) -> None:
        if not 1_000 <= self.sample_rate_hz <= 400_000:
            raise SpecError(f"sample_rate_hz: {self.sample_rate_hz} is outside 1000..400000")
        if not 0 < self.window_s <= LONGEST_WINDOW_S:
            raise SpecError(f"window_s: {self.window_s} is outside 0..{LONGEST_WINDOW_S}")
        if self.window_function not in TAPERS:
            raise SpecError(
                f"window_function: {shown(self.window_function)} is none of {', '.join(TAPERS)}"
            )
        if self.n_fft < 16 or not 0 < self.hop_length <= self.n_fft:
            raise SpecError(
                f"n_fft {self.n_fft} and hop_length {self.hop_length}: need n_fft >= 16 and 0 < "
                "hop_length <= n_fft"
            )
        if self.window_samples < self.n_fft:
            raise SpecError(
                f"window_s: {self.window_s} s is shorter than one frame of {self.n_fft} samples"
            )

    def _check_bands(self) -> None:
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise SpecError(
                f"fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}: need 0 <= fmin < fmax <= half "
                "the sample rate"
            )
        odd_kernel = self.hpss_kernel >= 1 and self.hpss_kernel % 2 == 1
        if self.n_mels < 1 or not odd_kernel or not self.hpss_power > 0:
            raise SpecError("need n_mels >= 1, an odd hpss_kernel >= 1 and hpss_power > 0")
        if self.n_mels > MOST_BANDS or self.hpss_kernel > LARGEST_KERNEL or self.hpss_power > 100:
            raise SpecError(
                f"need n_mels <= {MOST_BANDS}, hpss_kernel <= {LARGEST_KERNEL} and hpss_power <= "
                "100"
            )

    def _check_channels(self) -> None:
        if not 1 <= len(self.channels) <= MOST_CHANNELS:
            raise SpecError(
                f"channels: at least one is needed and at most {MOST_CHANNELS} are possible"
            )
        for channel in self.channels:
            hop_length = channel.hop_length or self.hop_length
            if not 0 < hop_length <= (channel.n_fft or self.n_fft) <= self.window_samples:
                raise SpecError(
                    f"channels: n_fft {channel.n_fft} must be between hop_length and the window, "
                    "or sound is skipped"
                )
        if len({self.frames_of(channel) for channel in self.channels}) > 1:
            raise SpecError("channels: have different numbers of frames")

    @property
    def window_samples(self) -> int:
        """Number of samples in one window."""
        return round(self.window_s * self.sample_rate_hz)

    @property
    def frames_per_second(self) -> float:
        """Number of spectrogram frames in a second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def component_frames(self) -> int:
        """Number of frames in a window's components; of all channels the same."""
        return self.frames_of(self.channels[0])

    @property
    def stretch_frames(self) -> int:
        """Number of frames in each stretch of a window's components."""
        return (self.component_frames - self.stack_overlap) // self.stack + self.stack_overlap

    def frames_of(self, channel: ChannelSpec) -> int:
        """Return the number of frames of a channel in a window."""
        if channel.component == WAVEFORM:
            return self.window_samples
        n_fft = channel.n_fft or self.n_fft
        within = self.window_samples - (0 if self.centred else n_fft)
        return 1 + within // (channel.hop_length or self.hop_length)

    @property
    def is_waveform(self) -> bool:
        """Whether the network takes the samples themselves."""
        return any(channel.component == WAVEFORM for channel in self.channels)

    @property
    def stored_bands(self) -> dict[str, tuple[int, int]]:
        """The arrays that the bundle has to store, by name, and their shapes."""
        return {
            channel.bands: (self.n_mels, 1 + (channel.n_fft or self.n_fft) // 2)
            for channel in self.channels
            if channel.bands is not None
        }

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a window's features, the network's input: (channels x stack, bands, frames)."""
        frames = self.frames or self.stretch_frames
        return len(self.channels) * self.stack, self.resized_bands or self.n_mels, frames

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str = "frontend") -> FrontendSpec:
        """Build from what `as_mapping` returns; raises `SpecError`, which names the key."""
        values = dict(keys_of(mapping, where=where))
        if "channels" in values:
            channels = list_of(values["channels"], where=f"{where}.channels", most=MOST_CHANNELS)
            values["channels"] = tuple(
                ChannelSpec.parse(channel, where=f"{where}.channels[{i}]")
                for i, channel in enumerate(channels)
            )
        spec: FrontendSpec = from_mapping(FrontendSpec, values, where=where)
        return spec

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON/YAML types; `parse` is the inverse."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        # Left out at their defaults, so that bundles from before they existed keep their digest.
        for name in (*ARRANGED, "centred", "scaling"):
            if plain[name] == getattr(FrontendSpec, name):
                del plain[name]
        return {**plain, "channels": [c.as_mapping() for c in self.channels]}

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON: specs with the same digest make the same features."""
        return canonical_digest(self.as_mapping())

    @property
    def component_digest(self) -> str:
        """Digest of all but the levels, which decides the components: key of training's cache."""
        plain = self.as_mapping()
        for name in ARRANGED:
            plain.pop(name, None)
        plain["channels"] = [c.component_key for c in self.channels]
        return canonical_digest(plain)
