"""What every writer of results must do, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from edge.clock import Clock
from edge.provenance import Provenance
from edge.types import Detection, Prediction

__all__ = ["FormatWriter", "RecordingEffort", "ReplayResult", "Unjudged"]

# Why audio was not judged: silence, a constant or full scale, too short between two gaps.
Unjudged = Literal["dead", "stuck", "short"]


@dataclass(frozen=True, kw_only=True)
class RecordingEffort:
    """What became of one recording's audio, in seconds: it tells absence from deafness.

    `audio_s` was read and is `judged_s` and all of `unjudged_s` together. `header_s` is the length
    that the header announces, None where it announces none. `missing_s` of it are not there or
    cannot be decoded. `gap_s` is time that the recorder has left out between triggers.
    `below_precision` events were left out for the precision that is wanted.
    """

    audio_s: float
    judged_s: float
    unjudged_s: Mapping[Unjudged, float] = field(default_factory=dict)
    header_s: float | None = None
    missing_s: float = 0.0
    gap_s: float = 0.0
    below_precision: int = 0


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """What one recording gave, replayed to its end.

    `file` is the path as it was given, `path` is where the sound stands. `duration_s` reaches from
    the first sample to the last, gaps included. `channel` is the one that was heard, from 1, or the
    mean of all. `notes` are for the person at the terminal: what of the file is not as it says. The
    output puts the file's name before them. `position` is the latitude and longitude of the place
    that was given. `identity` is a digest of the sound, a part of each event's id. `provenance` is
    what made it where that is not the same for all that is written, as in a store of several years.
    `spool` holds the predictions where they were wanted.
    """

    file: str
    path: str
    duration_s: float
    clock: Clock
    detections: tuple[Detection, ...]
    effort: RecordingEffort
    channel: int | Literal["mix"] = "mix"
    notes: tuple[str, ...] = ()
    position: tuple[float, float] | None = None
    identity: str = ""
    provenance: Provenance | None = None
    spool: Path | None = None

    def predictions(self) -> Iterator[Prediction]:
        """Yield the predictions, one per window, in order.

        They are read from the spool, because a day has 86 400 of them.
        """
        if self.spool is not None:
            from edge.replay.spool import read_spool  # late, as few formats ask

            yield from read_spool(self.spool)


class FormatWriter(Protocol):
    """Writes whole recordings in the order given, to a stream that stays open. Not thread-safe."""

    def write(self, result: ReplayResult) -> None:
        """Add one recording."""
        ...

    def close(self) -> None:
        """Write what comes after the last recording."""
        ...
