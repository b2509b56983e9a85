"""CSV: one row per detection, for spreadsheets, R and pandas."""

from __future__ import annotations

import csv
from typing import TextIO

from edge.clock import rfc3339
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult

__all__ = ["CsvTable"]

COLUMNS = (
    "file",
    "start_s",
    "end_s",
    "start_utc",
    "end_utc",
    "label",
    "common_name",
    "scientific_name",
    "nearest",
    "score",
    "novelty",
    "clock_source",
    "id",
)


class CsvTable:
    """Writes one row per detection; cells are empty where a rejected sound has no name."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._provenance = provenance
        self._rows.writerow(COLUMNS)

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            named = self._provenance.labels[d.label] if d.label is not None else None
            self._rows.writerow(
                [
                    result.file,
                    f"{d.start_s:.3f}",
                    f"{d.end_s:.3f}",
                    rfc3339(result.clock.utc(d.start_sample)),
                    rfc3339(result.clock.utc(d.end_sample)),
                    d.label or "",
                    named.common_name if named else "",
                    named.scientific_name if named else "",
                    d.nearest,
                    f"{d.score:.4f}",
                    f"{d.novelty:.4f}",
                    result.clock.source,
                    d.id,
                ]
            )

    def close(self) -> None:
        pass
