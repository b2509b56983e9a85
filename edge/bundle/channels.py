"""The channels of a frontend as data: which part of the sound, and the level that compresses it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from edge.bundle.mapping import from_mapping, keys_of
from edge.errors import SpecError, shown

__all__ = [
    "BINS",
    "COMPONENT_NAMES",
    "LINEAR",
    "REAL",
    "WAVEFORM",
    "WHOLE",
    "ChannelSpec",
    "FixedLevel",
    "FloorLevel",
    "Level",
    "MaxLevel",
    "NoLevel",
    "PcenLevel",
    "PowerLawLevel",
    "QuantileLevel",
]

COMPONENT_NAMES = ("mel", "harmonic", "percussive", "linear", "bins", "real", "waveform")
BINS = "bins"
LINEAR = ("linear", BINS)  # in bands of equal width
# Components that hold all of the sound, and may have a transform of their own.
WHOLE = ("mel", *LINEAR)
REAL = "real"  # needs bands that the bundle stores
WAVEFORM = "waveform"  # no spectrogram: its one band is the samples, each a frame
OPTIONAL = ("n_fft", "hop_length", "bands", "descending")  # keys that are left out when unused
BANDS_NAME = r"[a-z0-9_]{1,40}"


@dataclass(frozen=True, kw_only=True)
class MaxLevel:
    """dB below the channel's own maximum in the window, scaled to 0..1.

    The scale is `range_db` deep (Thakur et al. 2019, II.A).
    """

    kind: ClassVar[str] = "max"
    range_db: float = 80.0

    def __post_init__(self) -> None:
        _need_above_0(range_db=self.range_db)


@dataclass(frozen=True, kw_only=True)
class FixedLevel:
    """dB re full scale between two fixed levels, scaled to 0..1.

    It keeps loudness, so that silence looks like silence.
    """

    kind: ClassVar[str] = "fixed"
    floor_db: float = -80.0
    ceiling_db: float = 40.0

    def __post_init__(self) -> None:
        if not self.floor_db < self.ceiling_db:
            raise SpecError(
                f"floor_db {self.floor_db} and ceiling_db {self.ceiling_db}: need floor < ceiling"
            )


@dataclass(frozen=True, kw_only=True)
class FloorLevel:
    """dB above each band's own background, scaled to 0..1.

    The background is the band's median over the window, so that steady noise is removed.
    """

    kind: ClassVar[str] = "floor"
    below_db: float = 10.0
    above_db: float = 50.0

    def __post_init__(self) -> None:
        _need_above_0(below_db_and_above_db=self.below_db + self.above_db)


@dataclass(frozen=True, kw_only=True)
class PcenLevel:
    """Per-channel energy normalisation, with librosa's parameters and definition.

    Source: Wang et al. 2017, Trainable frontend for robust and far-field keyword spotting.
    """

    kind: ClassVar[str] = "pcen"
    time_constant_s: float = 0.4
    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    eps: float = 1e-6

    def __post_init__(self) -> None:
        _need_above_0(
            time_constant_s=self.time_constant_s, bias=self.bias, power=self.power, eps=self.eps
        )


@dataclass(frozen=True, kw_only=True)
class QuantileLevel:
    """dB between two quantiles of the channel's own values in the window, scaled to 0..1.

    What lies outside is clipped. This is the removal of outliers of Sevilla and Glotin 2017
    (section 2.1, step 7), who do not say how it is done.
    """

    kind: ClassVar[str] = "quantile"
    low: float = 0.01
    high: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise SpecError(f"low {self.low} and high {self.high}: need 0 <= low < high <= 1")


@dataclass(frozen=True, kw_only=True)
class PowerLawLevel:
    """Power raised to `exponent`, as it is: between 0 and 1, it lifts what is faint.

    BirdNET V2.4 (Kahl et al. 2021) has learnt the exponents of its two channels.
    """

    kind: ClassVar[str] = "power_law"
    exponent: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 4:
            raise SpecError(f"exponent: {self.exponent} is not above 0 and at most 4")


@dataclass(frozen=True, kw_only=True)
class NoLevel:
    """Values as they are, for what is no power: the component `waveform`."""

    kind: ClassVar[str] = "none"


def _need_above_0(**parameters: float) -> None:
    for name, value in parameters.items():
        if not value > 0:
            raise SpecError(f"{name}: {value} is not above 0")


Level = MaxLevel | FixedLevel | FloorLevel | PcenLevel | QuantileLevel | PowerLawLevel | NoLevel
_LEVELS: dict[str, type[Any]] = {cls.kind: cls for cls in get_args(Level)}


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One input channel: a component of the spectrogram and how its power is compressed.

    `mel` and `linear` are the whole sound in bands of the mel scale or of equal width, `harmonic`
    and `percussive` its parts in mel bands. `linear` resizes the power of the bins to the bands
    before the level; `bins` keeps them, and they are resized after it (`edge.bundle.bins`).
    `n_fft` is a transform of its own (None: the frontend's), for systems that look at several
    scales, and `hop_length` the step of its frames.

    `real` is the square of the real part of the transform in bands that the bundle stores under the
    name `bands`. With `descending` the highest band comes first.

    `waveform` is the samples themselves, for networks that begin with a transform of their own. It
    goes with the level `none` only, and has neither of the keys above.
    """

    component: str
    level: Level
    n_fft: int | None = None
    hop_length: int | None = None
    bands: str | None = None
    descending: bool = False

    def __post_init__(self) -> None:
        if self.component not in COMPONENT_NAMES:
            raise SpecError(
                f"component {shown(self.component)} is none of {', '.join(COMPONENT_NAMES)}"
            )
        if (self.component == WAVEFORM) != isinstance(self.level, NoLevel):
            raise SpecError(f"level: none belongs to the component {WAVEFORM}, which has no other")
        own = (*WHOLE, REAL)
        if self.n_fft is not None and (self.n_fft < 16 or self.component not in own):
            raise SpecError(
                f"n_fft {self.n_fft}: must be at least 16, and of a component {' or '.join(own)}"
            )
        if (self.component == REAL) != (self.bands is not None):
            raise SpecError(f"bands: belong to the component {REAL}, which needs them")
        if self.bands is not None and not re.fullmatch(BANDS_NAME, self.bands):
            raise SpecError(f"bands: {shown(self.bands)} cannot be the name of an array")
        if self.component != REAL and (self.hop_length is not None or self.descending):
            raise SpecError(f"hop_length and descending: belong to the component {REAL}")

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> ChannelSpec:
        """Build from `{component: mel, level: {kind: max, range_db: 80}}`; raises `SpecError`."""
        keys_of(mapping, where=where)
        if not {"component", "level"} <= set(mapping) <= {"component", "level", *OPTIONAL}:
            raise SpecError(
                f"{where}: needs the keys component and level, may have {', '.join(OPTIONAL)}, has "
                f"{', '.join(sorted(mapping))}"
            )
        level = dict(keys_of(mapping["level"], where=f"{where}.level"))
        kind = level.pop("kind", None)
        if not isinstance(kind, str) or kind not in _LEVELS:
            raise SpecError(f"{where}.level.kind: {shown(kind)} is none of {', '.join(_LEVELS)}")
        parsed = from_mapping(_LEVELS[kind], level, where=f"{where}.level")
        channel: ChannelSpec = from_mapping(ChannelSpec, {**mapping, "level": parsed}, where=where)
        return channel

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON/YAML types; `parse` is the inverse."""
        level = {"kind": self.level.kind, **dataclasses.asdict(self.level)}
        own = {name: getattr(self, name) for name in OPTIONAL}
        chosen = {name: value for name, value in own.items() if value not in (None, False)}
        return {"component": self.component, "level": level, **chosen}

    @property
    def component_key(self) -> str:
        """Name of what is computed before the level."""
        own = (self.n_fft, self.hop_length, self.bands)
        return "/".join([self.component, *(str(value) for value in own if value is not None)])
