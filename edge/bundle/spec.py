"""The frontend as data: what turns samples into the network's input, written in every bundle.

A paper's frontend is another value of `FrontendSpec`, never another `if` in the code: each channel
names a *component* of the spectrogram and the *level* that compresses it (tables `COMPONENTS` and
`LEVELS` in `features.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from edge.bundle.digest import canonical_digest
from edge.errors import SpecError

__all__ = [
    "ChannelSpec",
    "FixedLevel",
    "FloorLevel",
    "FrontendSpec",
    "Level",
    "MaxLevel",
    "PcenLevel",
    "QuantileLevel",
    "from_mapping",
]

COMPONENT_NAMES = ("mel", "harmonic", "percussive", "linear")
# components that hold all of the sound, and may have a transform of their own
WHOLE = ("mel", "linear")


def from_mapping(cls: type[Any], mapping: Mapping[str, Any], *, where: str) -> Any:
    """Build the dataclass `cls` from `mapping`; an unknown or missing key is a `SpecError` naming
    `where`.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(mapping) - set(fields))
    if unknown:
        raise SpecError(f"{where}: unknown key '{unknown[0]}' (known: {', '.join(fields)})")
    missing = [
        name
        for name, f in fields.items()
        if name not in mapping
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{where}: key '{missing[0]}' is missing")
    try:
        return cls(**mapping)
    except (TypeError, ValueError) as exc:
        raise SpecError(f"{where}: {exc}") from exc


@dataclass(frozen=True, kw_only=True)
class MaxLevel:
    """dB below the channel's own maximum in the window, `range_db` deep, scaled to 0..1 (Thakur et
    al. 2019, II.A).
    """

    kind: ClassVar[str] = "max"
    range_db: float = 80.0


@dataclass(frozen=True, kw_only=True)
class FixedLevel:
    """dB re full scale between two fixed levels, scaled to 0..1: keeps loudness, so silence looks
    like silence.
    """

    kind: ClassVar[str] = "fixed"
    floor_db: float = -80.0
    ceiling_db: float = 40.0


@dataclass(frozen=True, kw_only=True)
class FloorLevel:
    """dB above each band's own background (its median over the window), scaled to 0..1: removes
    steady noise.
    """

    kind: ClassVar[str] = "floor"
    below_db: float = 10.0
    above_db: float = 50.0


@dataclass(frozen=True, kw_only=True)
class PcenLevel:
    """Per-channel energy normalisation, librosa's parameters and definition (Wang et al. 2017,
    trainable frontend).
    """

    kind: ClassVar[str] = "pcen"
    time_constant_s: float = 0.4
    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    eps: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class QuantileLevel:
    """dB between two quantiles of the channel's own values in the window, scaled to 0..1; what lies
    outside is clipped.

    The removal of outliers of Sevilla and Glotin 2017 (section 2.1, step 7), who do not say how it
    is done.
    """

    kind: ClassVar[str] = "quantile"
    low: float = 0.01
    high: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise SpecError(f"low {self.low} and high {self.high}: need 0 <= low < high <= 1")


Level = MaxLevel | FixedLevel | FloorLevel | PcenLevel | QuantileLevel
_LEVELS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (MaxLevel, FixedLevel, FloorLevel, PcenLevel, QuantileLevel)
}


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One input channel: a component of the spectrogram and how its power is compressed.

    `mel` and `linear` are the whole sound in bands of the mel scale or of equal width, `harmonic`
    and `percussive` its parts in mel bands. `linear` resizes the power of the bins to the bands,
    before the level: Sevilla and Glotin 2017 resize in dB, but power is what training can mix.
    `n_fft` is a transform of its own (None: the frontend's), for systems that look at several
    scales.
    """

    component: str
    level: Level
    n_fft: int | None = None

    def __post_init__(self) -> None:
        if self.component not in COMPONENT_NAMES:
            raise SpecError(f"component '{self.component}' is none of {', '.join(COMPONENT_NAMES)}")
        if self.n_fft is not None and (self.n_fft < 16 or self.component not in WHOLE):
            raise SpecError(
                f"n_fft {self.n_fft}: must be at least 16, and of a component {' or '.join(WHOLE)}"
            )

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> ChannelSpec:
        """Build from `{component: mel, level: {kind: max, range_db: 80}}`."""
        if not {"component", "level"} <= set(mapping) <= {"component", "level", "n_fft"}:
            raise SpecError(
                f"{where}: needs the keys component and level, may have n_fft, has "
                f"{', '.join(sorted(mapping))}"
            )
        level = dict(mapping["level"])
        kind = level.pop("kind", None)
        if kind not in _LEVELS:
            raise SpecError(f"{where}.level.kind: '{kind}' is none of {', '.join(_LEVELS)}")
        parsed = from_mapping(_LEVELS[kind], level, where=f"{where}.level")
        return from_mapping(ChannelSpec, {**mapping, "level": parsed}, where=where)  # type: ignore[no-any-return]

    def as_mapping(self) -> dict[str, Any]:
        """The inverse of `parse`."""
        level = {"kind": self.level.kind, **dataclasses.asdict(self.level)}
        return {
            "component": self.component,
            "level": level,
            **({} if self.n_fft is None else {"n_fft": self.n_fft}),
        }

    @property
    def component_key(self) -> str:
        """Names what is computed before the level."""
        return self.component if self.n_fft is None else f"{self.component}/{self.n_fft}"


@dataclass(frozen=True, kw_only=True)
class FrontendSpec:
    """Everything that turns a window of samples into a (channels, n_mels, frames) float32 array.

    `n_mels` is the number of bands, of either scale. `stack` > 1 cuts the window into so many
    stretches, which become channels; `frames` resizes the time axis bilinearly at the very end
    (None: as many as there are hops).

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
    frames: int | None = None

    def __post_init__(self) -> None:
        if not 1_000 <= self.sample_rate_hz <= 400_000:
            raise SpecError(f"sample_rate_hz: {self.sample_rate_hz} is outside 1000..400000")
        if self.n_fft < 16 or not 0 < self.hop_length <= self.n_fft:
            raise SpecError(
                f"n_fft {self.n_fft} and hop_length {self.hop_length}: need n_fft >= 16 and 0 < "
                "hop_length <= n_fft"
            )
        if self.window_samples < self.n_fft:
            raise SpecError(
                f"window_s: {self.window_s} s is shorter than one frame of {self.n_fft} samples"
            )
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise SpecError(
                f"fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}: need 0 <= fmin < fmax <= half "
                "the sample rate"
            )
        if (
            self.n_mels < 1
            or self.hpss_kernel < 1
            or self.hpss_kernel % 2 == 0
            or self.hpss_power <= 0
        ):
            raise SpecError("need n_mels >= 1, an odd hpss_kernel >= 1 and hpss_power > 0")
        if not self.channels:
            raise SpecError("channels: at least one is needed")
        self._check_arrangement()

    def _check_arrangement(self) -> None:
        for channel in self.channels:
            if not self.hop_length <= (channel.n_fft or self.n_fft) <= self.window_samples:
                raise SpecError(
                    f"channels: n_fft {channel.n_fft} must be between hop_length and the window, "
                    "or sound is skipped"
                )
        if not 1 <= self.stack <= self.component_frames:
            raise SpecError(
                f"stack: {self.stack} stretches cannot be made of {self.component_frames} frames"
            )
        if self.frames is not None and not 1 <= self.frames <= 10_000:
            raise SpecError(f"frames: {self.frames} is outside 1..10000")

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return round(self.window_s * self.sample_rate_hz)

    @property
    def frames_per_second(self) -> float:
        """Spectrogram frames a second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def component_frames(self) -> int:
        """Frames of one window's components; they are centred, so there is one more than hops."""
        return 1 + self.window_samples // self.hop_length

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one window's features, the network's input: (channels x stack, n_mels,
        frames).
        """
        return (
            len(self.channels) * self.stack,
            self.n_mels,
            self.frames or self.component_frames // self.stack,
        )

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str = "frontend") -> FrontendSpec:
        """Build from the form that `as_mapping` writes; errors name the key."""
        values = dict(mapping)
        if "channels" in values:
            channels = enumerate(values["channels"])
            values["channels"] = tuple(
                ChannelSpec.parse(c, where=f"{where}.channels[{i}]") for i, c in channels
            )
        return from_mapping(FrontendSpec, values, where=where)  # type: ignore[no-any-return]

    def as_mapping(self) -> dict[str, Any]:
        """Plain JSON/YAML types; `parse(as_mapping())` is the same spec."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        # as before there were any, so that an old bundle keeps its digest
        for name in ("stack", "frames"):
            if plain[name] == getattr(FrontendSpec, name):
                del plain[name]
        return {**plain, "channels": [c.as_mapping() for c in self.channels]}

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON: two specs with the same digest make the same features."""
        return canonical_digest(self.as_mapping())

    @property
    def component_digest(self) -> str:
        """Digest of what decides the *components* (everything but the levels): the key of the
        training cache.
        """
        plain = {
            key: value for key, value in self.as_mapping().items() if key not in ("stack", "frames")
        }
        plain["channels"] = [c.component_key for c in self.channels]
        return canonical_digest(plain)
