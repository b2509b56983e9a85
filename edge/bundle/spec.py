"""The frontend as data: what turns samples into the network's input, written in every bundle.

A paper's frontend is another value of `FrontendSpec`, never another `if` in the code: each channel names a *component* of the
spectrogram and the *level* that compresses it (tables `COMPONENTS` and `LEVELS` in `features.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from edge.errors import SpecError

__all__ = [
    "ChannelSpec",
    "FixedLevel",
    "FloorLevel",
    "FrontendSpec",
    "Level",
    "MaxLevel",
    "PcenLevel",
    "from_mapping",
]

COMPONENT_NAMES = ("mel", "harmonic", "percussive")


def from_mapping(cls: type[Any], mapping: Mapping[str, Any], *, where: str) -> Any:
    """Build the dataclass `cls` from `mapping`; an unknown or missing key is a `SpecError` naming `where`."""
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(mapping) - set(fields))
    if unknown:
        raise SpecError(f"{where}: unknown key '{unknown[0]}' (known: {', '.join(fields)})")
    missing = [
        name
        for name, f in fields.items()
        if name not in mapping and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{where}: key '{missing[0]}' is missing")
    try:
        return cls(**mapping)
    except (TypeError, ValueError) as exc:
        raise SpecError(f"{where}: {exc}") from exc


@dataclass(frozen=True, kw_only=True)
class MaxLevel:
    """dB below the channel's own maximum in the window, `range_db` deep, scaled to 0..1 (Thakur et al. 2019, II.A)."""

    kind: ClassVar[str] = "max"
    range_db: float = 80.0


@dataclass(frozen=True, kw_only=True)
class FixedLevel:
    """dB re full scale between two fixed levels, scaled to 0..1: keeps loudness, so silence looks like silence."""

    kind: ClassVar[str] = "fixed"
    floor_db: float = -80.0
    ceiling_db: float = 40.0


@dataclass(frozen=True, kw_only=True)
class FloorLevel:
    """dB above each band's own background (its median over the window), scaled to 0..1: removes steady noise."""

    kind: ClassVar[str] = "floor"
    below_db: float = 10.0
    above_db: float = 50.0


@dataclass(frozen=True, kw_only=True)
class PcenLevel:
    """Per-channel energy normalisation, librosa's parameters and definition (Wang et al. 2017, trainable frontend)."""

    kind: ClassVar[str] = "pcen"
    time_constant_s: float = 0.4
    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    eps: float = 1e-6


Level = MaxLevel | FixedLevel | FloorLevel | PcenLevel
_LEVELS: dict[str, type[Any]] = {cls.kind: cls for cls in (MaxLevel, FixedLevel, FloorLevel, PcenLevel)}


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One input channel: a component of the spectrogram and how its mel power is compressed."""

    component: str
    level: Level

    def __post_init__(self) -> None:
        if self.component not in COMPONENT_NAMES:
            raise SpecError(f"component '{self.component}' is none of {', '.join(COMPONENT_NAMES)}")

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> ChannelSpec:
        """Build from `{component: mel, level: {kind: max, range_db: 80}}`."""
        unknown = sorted(set(mapping) - {"component", "level"})
        if unknown or set(mapping) != {"component", "level"}:
            raise SpecError(f"{where}: needs exactly the keys component and level, has {', '.join(sorted(mapping))}")
        level = dict(mapping["level"])
        kind = level.pop("kind", None)
        if kind not in _LEVELS:
            raise SpecError(f"{where}.level.kind: '{kind}' is none of {', '.join(_LEVELS)}")
        parsed = from_mapping(_LEVELS[kind], level, where=f"{where}.level")
        return from_mapping(ChannelSpec, {"component": mapping["component"], "level": parsed}, where=where)  # type: ignore[no-any-return]

    def as_mapping(self) -> dict[str, Any]:
        """The inverse of `parse`."""
        return {"component": self.component, "level": {"kind": self.level.kind, **dataclasses.asdict(self.level)}}


@dataclass(frozen=True, kw_only=True)
class FrontendSpec:
    """Everything that turns a window of samples into a (channels, n_mels, frames) float32 array.

    The defaults are system S1 (Thakur et al. 2019, section II.A) on this project's 5 s windows: frames of 1024 samples (46 ms)
    every 512, 40 mel bands, HPSS on the magnitude spectrogram with a median filter of 31 and soft masks of power 2
    (Fitzgerald 2010).
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
    channels: tuple[ChannelSpec, ...] = tuple(ChannelSpec(component=c, level=MaxLevel()) for c in COMPONENT_NAMES)

    def __post_init__(self) -> None:
        if not 1_000 <= self.sample_rate_hz <= 400_000:
            raise SpecError(f"sample_rate_hz: {self.sample_rate_hz} is outside 1000..400000")
        if self.n_fft < 16 or not 0 < self.hop_length <= self.n_fft:
            raise SpecError(f"n_fft {self.n_fft} and hop_length {self.hop_length}: need n_fft >= 16 and 0 < hop_length <= n_fft")
        if self.window_samples < self.n_fft:
            raise SpecError(f"window_s: {self.window_s} s is shorter than one frame of {self.n_fft} samples")
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise SpecError(f"fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}: need 0 <= fmin < fmax <= half the sample rate")
        if self.n_mels < 1 or self.hpss_kernel < 1 or self.hpss_kernel % 2 == 0 or self.hpss_power <= 0:
            raise SpecError("need n_mels >= 1, an odd hpss_kernel >= 1 and hpss_power > 0")
        if not self.channels:
            raise SpecError("channels: at least one is needed")

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return round(self.window_s * self.sample_rate_hz)

    @property
    def frames_per_second(self) -> float:
        """Spectrogram frames a second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one window's features: (channels, n_mels, frames); frames are centred, so there is one more than hops."""
        return len(self.channels), self.n_mels, 1 + self.window_samples // self.hop_length

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str = "frontend") -> FrontendSpec:
        """Build from the form that `as_mapping` writes; errors name the key."""
        values = dict(mapping)
        if "channels" in values:
            channels = enumerate(values["channels"])
            values["channels"] = tuple(ChannelSpec.parse(c, where=f"{where}.channels[{i}]") for i, c in channels)
        return from_mapping(FrontendSpec, values, where=where)  # type: ignore[no-any-return]

    def as_mapping(self) -> dict[str, Any]:
        """Plain JSON/YAML types; `parse(as_mapping())` is the same spec."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**plain, "channels": [c.as_mapping() for c in self.channels]}

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON: two specs with the same digest make the same features."""
        return hashlib.sha256(json.dumps(self.as_mapping(), sort_keys=True).encode()).hexdigest()

    @property
    def component_digest(self) -> str:
        """Digest of what decides the *components* (everything but the levels): the key of the training cache."""
        plain = self.as_mapping()
        plain["channels"] = [c.component for c in self.channels]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
