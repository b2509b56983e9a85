"""The `id.csv` of Kaleidoscope (Wildlife Acoustics), which its viewer opens for review.

The columns are those of the user guide of Kaleidoscope Pro 5 that have a meaning here, by their
names there; the last ones are ours, as other programs add theirs.
"""

from __future__ import annotations

import csv
import os
from datetime import datetime, timedelta
from typing import TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.cells import end_of, seconds
from edge.replay.formats.guarded import guarded_name, guarded_path
from edge.types import Detection

__all__ = ["KaleidoscopeTable"]

DECIMALS = 3  # of seconds
NO_ID = "NoID"  # Kaleidoscope's word for what it could not identify
HALF_A_DAY = timedelta(hours=12)  # so that a night has one date
COLUMNS = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "CHANNEL",
    "OFFSET",
    "DURATION",
    "DATE",
    "TIME",
    "HOUR",
    "DATE-12",
    "TIME-12",
    "HOUR-12",
    "AUTO ID",
    "ALTERNATE 1",
    "ALTERNATE 2",
    "MANUAL ID",
    "common_name",
    "scientific_name",
    "score",
    "novelty",
)


class KaleidoscopeTable:
    """Writes one row per detection, and one NoID row for a recording without any.

    NoID is also an unknown sound, whose first alternate is the label that it is nearest to. A
    recording of which nothing could be judged has a row without an id. Dates are those of the
    recording's start, local where the zone is known, else UTC.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._provenance = provenance
        self._rows.writerow(COLUMNS)

    def write(self, result: ReplayResult) -> None:
        recording, when = _place(result.file), _when(result)
        # Kaleidoscope counts from 0.
        channel = "0" if result.channel == "mix" else str(result.channel - 1)
        for d in result.detections:
            length_s = end_of(d.end_s, result, DECIMALS) - round(d.start_s, DECIMALS)
            span = [channel, seconds(d.start_s), seconds(length_s)]
            self._rows.writerow([*recording, *span, *when, *self._identified(d)])
        if not result.detections:
            span = [channel, seconds(0.0), seconds(end_of(result.duration_s, result, DECIMALS))]
            found = NO_ID if result.effort.judged_s > 0 else ""
            self._rows.writerow([*recording, *span, *when, found, *[""] * 7])

    def close(self) -> None:
        pass

    def _identified(self, d: Detection) -> list[str]:
        others = [s.label for s in d.top if s.label != d.label]
        alternates = others if d.label is not None else [d.nearest, *_without(d.nearest, others)]
        first, second = [*alternates, "", ""][:2]
        named = self._provenance.named(d.label)
        return [
            d.label or NO_ID,
            first,
            second,
            "",  # for the person who reviews
            guarded_name(named.common_name) if named else "",
            guarded_name(named.scientific_name) if named else "",
            f"{d.score:.4f}",
            f"{d.novelty:.4f}",
        ]


def _without(label: str, labels: list[str]) -> list[str]:
    return [other for other in labels if other != label]


def _place(file: str) -> list[str]:
    """Return the folder above, the folder and the name of a recording."""
    folder, name = os.path.split(os.path.abspath(file))
    above, last = os.path.split(folder)
    return [above, guarded_path(last), guarded_path(name)]


def _when(result: ReplayResult) -> list[str]:
    if not result.clock.dated:
        return [""] * 6
    start = result.clock.local(0) or result.clock.utc(0)
    return [*_date(start), *_date(start - HALF_A_DAY)]


def _date(time: datetime) -> list[str]:
    return [f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}", str(time.hour)]
