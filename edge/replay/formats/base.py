"""What every writer of results must do, and what it is given."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.clock import Clock
from edge.types import Detection, Prediction

__all__ = ["ReplayResult", "Sink"]


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """One recording, heard to its end. `file` is the path as it was given; `spool` holds its
    predictions where they were wanted.
    """

    file: str
    duration_s: float
    clock: Clock
    detections: tuple[Detection, ...]
    spool: Path | None = None

    def predictions(self) -> Iterator[Prediction]:
        """Its predictions, one per window, in order; read from the spool, because a day has 86 400
        of them.
        """
        if self.spool is None:
            return
        with self.spool.open("rb") as file:
            while True:
                try:
                    yield pickle.load(file)
                except EOFError:
                    return


class Sink(Protocol):
    """Writes whole recordings in the order given. Not thread-safe; `close` completes the output but
    leaves the stream open.
    """

    def write(self, result: ReplayResult) -> None:
        """Add one recording."""
        ...

    def close(self) -> None:
        """Write what comes after the last recording."""
        ...
