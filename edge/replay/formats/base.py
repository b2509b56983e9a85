"""What every writer of results must do, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.clock import Clock
from edge.replay.spool import read_spool
from edge.types import Detection, Prediction

__all__ = ["FormatWriter", "ReplayResult"]


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """What one recording gave, replayed to its end.

    `file` is the path as it was given; `spool` holds the predictions where they were wanted.
    """

    file: str
    duration_s: float
    clock: Clock
    detections: tuple[Detection, ...]
    spool: Path | None = None

    def predictions(self) -> Iterator[Prediction]:
        """Yield the predictions, one per window, in order.

        They are read from the spool, because a day has 86 400 of them.
        """
        if self.spool is not None:
            yield from read_spool(self.spool)


class FormatWriter(Protocol):
    """Writes whole recordings in the order given, to a stream that stays open. Not thread-safe."""

    def write(self, result: ReplayResult) -> None:
        """Add one recording."""
        ...

    def close(self) -> None:
        """Write what comes after the last recording."""
        ...
