"""When events end, and how often they are given out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from edge.section import Seconds, Section

__all__ = ["TrackerConfig"]


class TrackerConfig(Section):
    """When events end: after `cooldown_s` of audio without the label, or at `longest_s`.

    An open event is given out again, as an update, every `update_s`. With `narrow`, frames or the
    scores of overlapping windows tell where in its windows an event is; else it is all of them.
    """

    cooldown_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    longest_s: Seconds = 60.0
    update_s: Seconds = 10.0
    narrow: bool = True

    @property
    def decisive(self) -> dict[str, Any]:
        """What digests of configurations name; `narrow`, which came later, where it is off."""
        return self.model_dump(exclude={"narrow"} if self.narrow else None)
