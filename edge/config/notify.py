"""The section `notify` of the configuration: what people are told of, when, and through what."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from edge.config.paths import SecretPath
from edge.config.quiet import QuietTime, parse_quiet
from edge.section import MB, Section, as_tuple

__all__ = ["NotifyConfig"]

SpeciesName = Annotated[str, Field(min_length=1, max_length=200)]
SpeciesNames = Annotated[
    tuple[SpeciesName, ...], BeforeValidator(as_tuple), Field(max_length=10_000)
]


def _quiet(text: str) -> str:
    """Return a quiet time as it is written; raises ValueError for what is none."""
    parse_quiet(text)
    return text


class NotifyConfig(Section):
    """What `edge notify` tells people, and through which services.

    The URLs of `services_file` are secret. An event is told of where it is right with `probability`
    or, where its model does not say that, from `score` on. A rule tells of a species once in
    `every_s` at most, and all of them together `most_per_day` times. What comes in the `quiet` time
    is told when that is over. A fault must last for `after_s`.
    """

    services_file: SecretPath | None = None
    first_ever: bool = True
    first_today: bool | SpeciesNames = False
    species: SpeciesNames = ()
    probability: Annotated[float, Field(ge=0, le=1)] = 0.9
    score: Annotated[float, Field(ge=0, le=1)] = 0.9
    every_s: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0
    most_per_day: Annotated[int, Field(ge=1, le=10_000)] = 20
    quiet: Annotated[str, AfterValidator(_quiet)] | None = None
    microphone: bool = True
    recorder: bool = True
    disk_free_mb: Annotated[float, Field(ge=0, le=10_000_000)] = 256.0
    after_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    page: Annotated[str, Field(pattern=r"^https?://[!-;=?-Z\^-z~]{1,200}$")] | None = None

    @property
    def quiet_time(self) -> QuietTime | None:
        """When nobody is told anything."""
        return None if self.quiet is None else parse_quiet(self.quiet)

    @property
    def disk_free_bytes(self) -> int:
        """Below so much free room the disk is nearly full; 0: it never is."""
        return round(self.disk_free_mb * MB)
