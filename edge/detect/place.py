"""What a bundle expects at a place, week by week."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from edge.bundle import Bundle, Label
from edge.detect.seasons import WEEKS, Calendar
from edge.detect.species_list import SpeciesList
from edge.errors import ConfigError
from edge.section import Section
from edge.types import Array

__all__ = ["Place", "PlaceSpecies", "place_of", "place_species"]


class Place(Section):
    """Where a recorder stands, in degrees, WGS84; a label counts from the probability `occurrence`
    on.
    """

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    occurrence: Annotated[float, Field(gt=0, lt=1)] = 0.03

    @property
    def position(self) -> tuple[float, float]:
        """Latitude and longitude."""
        return self.latitude, self.longitude


def place_of(latitude: float | None, longitude: float | None, *, occurrence: float) -> Place | None:
    """Return the place that two options give, None for neither; raises `ConfigError` for one."""
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None:
        raise ConfigError("is only one half of a place: --lat and --lon go together", key="--lat")
    return Place(latitude=latitude, longitude=longitude, occurrence=occurrence)


@dataclass(frozen=True, kw_only=True)
class PlaceSpecies:
    """The labels expected at a place, each with its weeks (1 to 48).

    `probabilities` are those of each label in each week, for people.
    """

    expected: Mapping[str, frozenset[int]]
    probabilities: Mapping[str, tuple[float, ...]]

    @property
    def calendar(self) -> Calendar:
        """The year in weeks."""
        return WEEKS

    def at(self, date: datetime) -> Iterator[tuple[str, float]]:
        """Yield labels that are expected on a day, the likeliest first, with their probability."""
        week = WEEKS.part_of(date)
        found = [
            (label, self.probabilities[label][week - 1])
            for label, weeks in self.expected.items()
            if week in weeks and label in self.probabilities
        ]
        yield from sorted(found, key=lambda pair: -pair[1])


def place_species(
    bundle: Bundle, place: Place | None, *, key: str, species: SpeciesList | None = None
) -> PlaceSpecies | None:
    """Return what `bundle` expects at `place`, None where no place is given.

    What is no species (engines, people, wind) has no place and is expected everywhere. `species`
    may add labels, for all the year, and remove some; any other list counts for nothing here.
    Raises `ConfigError` naming `key` where the bundle knows nothing of places, and where there is
    no place of which `species` could change anything.
    """
    change = species.labels if species is not None and species.is_change else ()
    if place is None:
        _refuse_change(change, key)
        return None
    if bundle.occurrence is None:
        raise ConfigError(
            f"{bundle.manifest.name} does not know what lives where",
            key=key,
            suggestion="list the species instead",
        )
    chances = bundle.occurrence.probabilities(place.latitude, place.longitude)
    found = _expected(bundle.labels, chances, place.occurrence)
    for signed in change:
        if signed.startswith("+"):
            found[signed[1:]] = WEEKS.all
        else:
            found.pop(signed[1:], None)
    shown = {label.label: k for k, label in enumerate(bundle.labels) if _is_species(label)}
    probabilities = {
        name: tuple(map(float, chances[:, shown[name]])) for name in shown.keys() & found.keys()
    }
    return PlaceSpecies(expected=found, probabilities=probabilities)


def _refuse_change(change: tuple[str, ...], key: str) -> None:
    if change:
        raise ConfigError(
            f"{change[0]} changes the list of a place, and none is given",
            key=key,
            suggestion="give latitude and longitude, or a list without signs",
        )


def _expected(labels: tuple[Label, ...], chances: Array, least: float) -> dict[str, frozenset[int]]:
    """Return the labels that are likely enough in some week, with these weeks.

    `chances` (weeks, K) are probabilities.
    """
    expected: dict[str, frozenset[int]] = {}
    for k, label in enumerate(labels):
        weeks = (chances[:, k] >= least).nonzero()[0]
        if not _is_species(label):
            expected[label.label] = WEEKS.all
        elif len(weeks):
            expected[label.label] = frozenset(int(week) + 1 for week in weeks)
    return expected


def _is_species(label: Label) -> bool:
    return bool(label.scientific_name)
