"""CSV: one row per detection, for spreadsheets, R and pandas."""

from __future__ import annotations

import csv
from typing import TextIO

from edge.bundle import Label
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.cells import (
    DATED_COLUMNS,
    PROBABILITY_COLUMNS,
    TRACE_COLUMNS,
    dated_cells,
    end_of,
    probability_cells,
    top_cells,
    top_columns,
    trace_cells,
    utc_cell,
)
from edge.replay.formats.guarded import guarded_name, guarded_path
from edge.types import Detection
from edge.wire import outcome_of_event

__all__ = ["CsvTable"]

DECIMALS = 3  # of seconds
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
    # New columns come last: programs may count the old ones.
    *DATED_COLUMNS,
    *TRACE_COLUMNS,
    "kind",
    *PROBABILITY_COLUMNS,
    "outcome",
    "animal",
)


class CsvTable:
    """Writes one row per detection; cells are empty where a rejected sound has no name.

    `top` is the number of best labels that have columns of their own.
    """

    def __init__(self, stream: TextIO, provenance: Provenance, *, top: int = 0) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._provenance = provenance
        self._top = top
        self._rows.writerow([*COLUMNS, *top_columns(top)])

    def write(self, result: ReplayResult) -> None:
        provenance = result.provenance or self._provenance
        trace = trace_cells(result, provenance)
        for d in result.detections:
            named = provenance.named(d.label)
            self._rows.writerow(
                [
                    *self._event(d, named, result),
                    *dated_cells(result, d.start_sample),
                    *trace,
                    named.kind if named else "",
                    *probability_cells(d, provenance),
                    outcome_of_event(d, provenance),
                    "" if d.animal is None else f"{d.animal:.4f}",
                    *top_cells(d, self._top),
                ]
            )

    def close(self) -> None:
        pass

    def _event(self, d: Detection, named: Label | None, result: ReplayResult) -> list[str]:
        return [
            guarded_path(result.file),
            f"{d.start_s:.{DECIMALS}f}",
            f"{end_of(d.end_s, result, DECIMALS):.{DECIMALS}f}",
            utc_cell(result, d.start_sample),
            utc_cell(result, d.end_sample),
            d.label or "",
            guarded_name(named.common_name) if named else "",
            guarded_name(named.scientific_name) if named else "",
            d.nearest,
            f"{d.score:.4f}",
            f"{d.novelty:.4f}",
            result.clock.source,
            d.id,
        ]
