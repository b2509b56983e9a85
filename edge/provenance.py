"""What made a detection: digests by which a result can be traced years later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from edge.bundle import FP32, Bundle, Label
from edge.bundle.digest import canonical_digest, digest_of_code
from edge.bundle.probability import ScoreCalibration
from edge.errors import ConfigError, UserError, one_line, shown

if TYPE_CHECKING:
    from edge.detect.model import Classifier
    from edge.detect.place import Place
    from edge.detect.site import OffList
    from edge.detect.smoothing import SmoothingConfig
    from edge.detect.species_list import SpeciesList

__all__ = [
    "BundlePart",
    "Provenance",
    "chosen_later",
    "code_digest",
    "config_digest",
    "placed_at",
    "provenance_of",
]


@dataclass(frozen=True, kw_only=True)
class BundlePart:
    """One of the bundles that judge; of a head, `trunk` is the digest of the network below it."""

    name: str
    digest: str
    trunk: str = ""

    @staticmethod
    def of(bundle: Bundle) -> BundlePart:
        """Return what is said of a bundle."""
        manifest = bundle.manifest
        return BundlePart(name=manifest.name, digest=bundle.digest, trunk=manifest.trunk)

    def __str__(self) -> str:
        below = f" on the network {self.trunk[:12]}" if self.trunk else ""
        return f"{one_line(self.name)} {self.digest[:12]}{below}"

    def as_mapping(self) -> dict[str, str]:
        """Return plain JSON types."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """sha256 digests of bundle, configuration and code, the bundle's labels, and what runs it.

    `several`: a window may carry more than one label. `hop_s` is from one window to the next.
    `parts` are the bundles that judge together, in their order; `bundle` then names all of them.
    `calibration` makes probabilities of the scores, None where there are none.
    """

    bundle: str
    config: str
    code: str
    labels: Mapping[str, Label]
    backend: str
    variant: str
    several: bool = False
    hop_s: float | None = None
    parts: tuple[BundlePart, ...] = ()
    calibration: ScoreCalibration | None = None

    @property
    def origin(self) -> dict[str, Any]:
        """What made a detection, as messages have it; `bundles` and `trunk` where there are any."""
        trunks = {part.trunk for part in self.parts if part.trunk}
        return {
            "bundle": self.bundle,
            **({"bundles": [part.digest for part in self.parts]} if len(self.parts) > 1 else {}),
            **({"trunk": trunks.pop()} if len(trunks) == 1 else {}),
            "variant": self.variant,
            "backend": self.backend,
            "config": self.config,
            "code": self.code,
        }

    @property
    def bundles(self) -> dict[str, Any]:
        """Which bundles these are, with their names, where it is not one that is whole."""
        if len(self.parts) < 2 and not any(part.trunk for part in self.parts):
            return {}
        return {"bundles": [part.as_mapping() for part in self.parts]}

    @property
    def identity(self) -> str:
        """What decides which events there are in a stream: a part of every event's id."""
        return f"{self.bundle}|{self.config}" + ("" if self.variant == FP32 else f"|{self.variant}")

    @property
    def calibration_digest(self) -> str | None:
        """What probabilities rest on, None where there are none."""
        return None if self.calibration is None else self.calibration.digest

    def probability(self, label: str | None, score: float) -> float | None:
        """Return how likely `label` is right at this score; None where that is not known."""
        if label is None or self.calibration is None:
            return None
        return self.calibration.probability(label, score)

    def named(self, label: str | None) -> Label | None:
        """Return what a label is called; None for the sound that has none."""
        return None if label is None else self._known(label)

    def is_animal(self, label: str) -> bool:
        """Return whether a label is a species, and not another kind of sound."""
        return self._known(label).kind == "animal"

    def common_name(self, label: str) -> str:
        """Return the name for people."""
        return self._known(label).common_name

    def _known(self, label: str) -> Label:
        try:
            return self.labels[label]
        except KeyError as exc:  # in a dataset that somebody has changed
            reason = f"{shown(label)} is no label of the bundle {self.bundle[:12]}"
            raise UserError(reason) from exc


def provenance_of(
    model: Classifier,
    *,
    hop_s: float,
    language: str | None = None,
    bundles: Sequence[Bundle] = (),
    **settings: Any,
) -> Provenance:
    """Return the provenance of what `model` gives under `settings`: all that decides it.

    `bundles` are those that it is made of. `language` is that of the common names. It decides
    nothing. Raises `ConfigError` where the bundle has no name in it.
    """
    manifest = model.bundle.manifest
    if language is not None and language not in manifest.languages:
        others = ", ".join(manifest.languages) or "none but its own"
        raise ConfigError(
            f"{manifest.name} has no names in {shown(language)}; it has {others}",
            key="language",
            suggestion="edge-deploy import birdnet --names FILE.csv",
        )
    return Provenance(
        bundle=model.digest,
        config=config_digest(hop_s=hop_s, **settings),
        code=code_digest(),
        labels={label.label: label.named_in(language) for label in manifest.labels},
        backend=model.engine.backend,
        variant=model.engine.variant,
        several=model.decision.thresholds is not None,
        hop_s=hop_s,
        parts=tuple(map(BundlePart.of, bundles)),
        # Smoothed scores are not those that were calibrated.
        calibration=None if "refine" in settings else model.decision.calibration,
    )


def chosen_later(
    *,
    species: SpeciesList | None,
    smoothing: SmoothingConfig,
    channel: object = "mix",
    offlist: OffList = "unknown",
    precision: float | None = None,
) -> dict[str, Any]:
    """Return the settings that came after the first recorders, where they were chosen.

    Other configurations keep their digest so. `refine` is the name that digests have for smoothing.
    """
    chosen = {
        "species": species,
        "refine": smoothing if smoothing.on else None,
        "channel": channel if channel != "mix" else None,
        "precision": precision,
        "offlist": offlist if offlist != "unknown" else None,
    }
    return {key: value for key, value in chosen.items() if value is not None}


def placed_at(place: Place | None) -> dict[str, Any]:
    """Return the setting of a place, where there is one."""
    return {} if place is None else {"place": place}


def config_digest(**settings: Any) -> str:
    """Return the canonical digest of plain values, dataclasses and sections."""
    return canonical_digest({key: _plain(value) for key, value in settings.items()})


def _plain(value: Any) -> Any:
    # Late: who only writes down what made a detection needs neither sections nor their library.
    from edge.section import Section

    if isinstance(value, Section):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


@cache
def code_digest() -> str:
    """Return the sha256 of this package's files: it names the code whatever its version says."""
    return digest_of_code(__package__)
