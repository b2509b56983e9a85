"""Raven selection tables, tab-separated, one selection per detection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from edge.bundle.labels import UNKNOWN
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
from edge.replay.formats.names import display_name
from edge.terminal import printable
from edge.types import Detection

__all__ = ["RavenTable"]

DECIMALS = 6  # of seconds
BAND_HZ = 0.0  # Raven wants a frequency band; ours is the whole one
COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Common Name",
    "Species Code",
    "Score",
    "Novelty",
    # New columns come last: programs may count the old ones.
    "start_utc",
    "clock_source",
    *DATED_COLUMNS,
    *TRACE_COLUMNS,
    *PROBABILITY_COLUMNS,
)


class RavenTable:
    """Writes a Raven selection table.

    Raven opens several files as one sequence: begin times run on, the file offset is within a file.
    Its tables know neither quotes nor escapes: a tab or a line break in a name is spelled out.
    `top` is the number of best labels that have columns of their own.
    """

    def __init__(self, stream: TextIO, provenance: Provenance, *, top: int = 0) -> None:
        self._stream = stream
        self._provenance = provenance
        self._top = top
        self._selection = 0
        self._begin_s = 0.0
        self._write_row([*COLUMNS, *top_columns(top)])

    def write(self, result: ReplayResult) -> None:
        provenance = result.provenance or self._provenance
        trace = trace_cells(result, provenance)
        for d in result.detections:
            self._selection += 1
            self._write_row(
                [
                    *self._selected(d, result, provenance),
                    utc_cell(result, d.start_sample),
                    result.clock.source,
                    *dated_cells(result, d.start_sample),
                    *trace,
                    *probability_cells(d, provenance),
                    *top_cells(d, self._top),
                ]
            )
        self._begin_s += result.duration_s

    def close(self) -> None:
        pass

    def _selected(self, d: Detection, result: ReplayResult, provenance: Provenance) -> list[str]:
        end_s = end_of(d.end_s, result, DECIMALS)
        return [
            str(self._selection),
            "Spectrogram 1",
            "1" if result.channel == "mix" else str(result.channel),
            f"{self._begin_s + d.start_s:.{DECIMALS}f}",
            f"{self._begin_s + end_s:.{DECIMALS}f}",
            f"{BAND_HZ:.1f}",
            f"{d.sample_rate_hz / 2:.1f}",
            guarded_path(result.file),
            f"{d.start_s:.{DECIMALS}f}",
            guarded_name(display_name(d, provenance)),
            d.label or UNKNOWN,
            f"{d.score:.4f}",
            f"{d.novelty:.4f}",
        ]

    def _write_row(self, cells: Iterable[str]) -> None:
        self._stream.write("\t".join(map(printable, cells)) + "\n")
