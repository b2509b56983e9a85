"""What follows on the model while a recording is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edge.detect.site import Expected
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker
from edge.replay.spool import Spooled
from edge.sources.file import Reading
from edge.sources.header import AudioFacts

__all__ = ["Played", "Stages"]


class Played(Protocol):
    """What is known of a recording; its `reading` once all of it was read."""

    @property
    def facts(self) -> AudioFacts: ...
    @property
    def channel(self) -> int | Literal["mix"]: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def reading(self) -> Reading: ...


@dataclass(frozen=True, kw_only=True)
class Stages:
    """What follows on the model; each recording has its own."""

    site: Expected
    smoothing: Smoothing
    tracker: Tracker

    @contextmanager
    def spooled(self, path: Path | None) -> Iterator[Smoothing]:
        """Give the smoothing; it keeps what it gives out in the file `path`, if there is one."""
        if path is None:
            yield self.smoothing
            return
        with path.open("wb") as file:
            yield Spooled(self.smoothing, file, self.site)
