"""The section `heads` of the configuration: where heads that are sent to a recorder come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge.config.paths import FilePath, StatePath
from edge.section import Section

__all__ = ["HeadsConfig"]


class HeadsConfig(Section):
    """Where orders to use another head may come from; by default from nowhere.

    Whatever brings it, a head is taken only when one of `model.trusted_keys` has signed it. From
    the `broker`, a `folder` that is looked into, and a `url`, each of the last two every `every_s`.
    Heads that were taken are kept in the folder `kept`.
    """

    broker: bool = False
    folder: FilePath | None = None
    url: Annotated[str, Field(pattern=r"^https://[!-~]{1,1000}$")] | None = None
    every_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    kept: StatePath = Field(default=Path("heads"), validate_default=True)

    @property
    def wanted(self) -> bool:
        """Whether heads may come at all."""
        return self.broker or self.folder is not None or self.url is not None
