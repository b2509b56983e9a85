"""CSV: one row per recording, also where nothing was detected in it.

By this ledger absence can be told from deafness.
"""

from __future__ import annotations

import csv
from typing import TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.cells import (
    ORIGIN_COLUMNS,
    RECORDING_COLUMNS,
    dated_cells,
    origin_cells,
    recording_cells,
    utc_cell,
)
from edge.replay.formats.guarded import guarded_path

__all__ = ["RecordingsTable"]

COLUMNS = (
    "file",
    "start_utc",
    "start_local",
    "clock_source",
    "clock_uncertainty_s",
    *RECORDING_COLUMNS,
    "detections",
    "unknowns",
    *ORIGIN_COLUMNS,
    "latitude",
    "longitude",
)


class RecordingsTable:
    """Writes one row per recording; `unknowns` are those `detections` that have no name."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._provenance = provenance
        self._rows.writerow(COLUMNS)

    def write(self, result: ReplayResult) -> None:
        local, uncertainty_s = dated_cells(result, 0)
        unknowns = sum(d.label is None for d in result.detections)
        self._rows.writerow(
            [
                guarded_path(result.file),
                utc_cell(result, 0),
                local,
                result.clock.source,
                uncertainty_s,
                *recording_cells(result),
                len(result.detections),
                unknowns,
                *origin_cells(result.provenance or self._provenance),
                *(result.position or ("", "")),
            ]
        )

    def close(self) -> None:
        pass
