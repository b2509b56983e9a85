"""What decides the result of a replay."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from edge.detect.engines import FOLDER, BackendChoice
from edge.detect.place import Place
from edge.detect.signal_health import HealthConfig
from edge.detect.site import OffList
from edge.detect.smoothing import SmoothingConfig
from edge.detect.species_list import SpeciesList
from edge.detect.tracker import TrackerConfig
from edge.errors import ConfigError
from edge.sources.file import Channel

__all__ = ["ReplaySettings"]


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What decides the result of a replay.

    `more_bundles` judge together with `bundle`. `channel` is heard of each recording, `zone` is
    that of times without one. `species` are those expected at the site, None: what the bundle
    expects at `place`, or without one every label of it; `offlist` is what becomes of others.
    `language` is that of the common names.
    `smoothing` is done to scores between model and tracker; events keep `precision` if it is given.
    `variant` is the only network of a bundle that will do, None: the fastest here.
    `block_s`, `language` and `spool`
    (predictions wanted) do not change what is detected.
    """

    bundle: Path
    more_bundles: tuple[Path, ...] = ()
    hop_s: float = 1.0
    channel: Channel = "mix"
    zone: tzinfo | None = None
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    limits: HealthConfig = field(default_factory=HealthConfig)
    species: SpeciesList | None = None
    place: Place | None = None
    offlist: OffList = "unknown"
    language: str | None = None
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    precision: float | None = None
    block_s: float = 1.0
    spool: bool = False
    variant: str | None = None
    backend: BackendChoice = "auto"
    engines: Path = FOLDER

    def __post_init__(self) -> None:
        if not 0 < self.hop_s < math.inf:
            reason = "is not a number of seconds above 0"
            raise ConfigError(reason, key="--hop-s", value=self.hop_s)
        if self.precision is not None and self.smoothing.on:
            reason = "does not go with --slide-s or --boost: they change the scores"
            raise ConfigError(reason, key="--precision", value=self.precision)

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude of the place, in degrees."""
        return None if self.place is None else self.place.position
