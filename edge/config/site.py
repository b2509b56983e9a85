"""The section `site` of the configuration: what lives where the recorder stands, and where."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge.clock import parse_zone
from edge.detect.place import Place
from edge.detect.site import OffList
from edge.detect.species_list import SpeciesList, parse_species
from edge.section import Section

__all__ = ["SiteConfig"]


def _zone(text: str) -> str:
    """Return the name of a time zone; raises ValueError for what is none."""
    parse_zone(text)
    return text


class SiteConfig(Section):
    """Which species the recorder's site may have, where it is, and what time is there.

    Without `species` it is what the bundle expects at the place, if it knows what lives where: all
    that is as likely there in the week as `occurrence`; else every label, all year. The position is
    in degrees, WGS84, positive in the north and in the east; None where it is not known. `timezone`
    is a name such as Europe/Vienna or an offset; events have local time beside UTC where it is
    given. `language` is that of common names, for a bundle that has names in several. `offlist` is
    what becomes of a label that is not expected: unknown, or the next best that is expected.
    """

    species: Annotated[SpeciesList, BeforeValidator(parse_species)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    occurrence: Annotated[float, Field(gt=0, lt=1)] = 0.03
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    language: Annotated[str, Field(min_length=2, max_length=20)] | None = None
    offlist: OffList = "unknown"

    @model_validator(mode="after")
    def _both_or_none(self) -> SiteConfig:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        return self

    @property
    def zone(self) -> tzinfo | None:
        """The zone of `timezone`."""
        return None if self.timezone is None else parse_zone(self.timezone)

    @property
    def place(self) -> Place | None:
        """Where the site is, for a bundle that knows what lives where."""
        if self.latitude is None or self.longitude is None:
            return None
        return Place(latitude=self.latitude, longitude=self.longitude, occurrence=self.occurrence)

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude, or None."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude
