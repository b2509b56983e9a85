"""Raven selection tables, tab-separated, one selection per detection."""

from __future__ import annotations

import csv
from typing import TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.names import UNKNOWN, display_name

__all__ = ["RavenTable"]

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
)


class RavenTable:
    """Writes a Raven selection table.

    Raven opens several files as one sequence: begin times run on, the file offset is within a file.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(
            stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        self._provenance = provenance
        self._selection = 0
        self._begin_s = 0.0
        self._rows.writerow(COLUMNS)

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            self._selection += 1
            times = (f"{self._begin_s + d.start_s:.6f}", f"{self._begin_s + d.end_s:.6f}")
            band = (f"{BAND_HZ:.1f}", f"{d.sample_rate_hz / 2:.1f}")
            where = (result.file, f"{d.start_s:.6f}")
            what = (
                display_name(d, self._provenance),
                d.label or UNKNOWN,
                f"{d.score:.4f}",
                f"{d.novelty:.4f}",
            )
            self._rows.writerow([self._selection, "Spectrogram 1", 1, *times, *band, *where, *what])
        self._begin_s += result.duration_s

    def close(self) -> None:
        pass
