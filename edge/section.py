"""The base of everything that can be configured: one class for a section of the configuration.

The class stands where it is used, and it is what `edge.config` reads a file into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import ConfigError

__all__ = ["MB", "Seconds", "Section", "as_tuple", "section_of_options"]

MB = 1_000_000  # bytes
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """Frozen, without unknown keys, and without guessing: the text "1" is not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def as_tuple(value: object) -> object:
    """Make a list a tuple: YAML has lists only, and a section nothing that can be changed."""
    return tuple(value) if isinstance(value, list) else value


S = TypeVar("S", bound=Section)


def section_of_options(section: type[S], options: Mapping[str, object]) -> S:
    """Return a section from options of the command line; raises `ConfigError` naming the option."""
    try:
        return section.model_validate(dict(options))
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        option = "--" + str(error["loc"][0]).replace("_", "-")
        raise ConfigError(error["msg"], key=option, value=error["input"]) from None
