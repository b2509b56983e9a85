"""Tables for people and for the programs they open results in: terminal, CSV, Raven, Audacity."""

from __future__ import annotations

import csv
from typing import TextIO

from edge.clock import rfc3339
from edge.provenance import Provenance
from edge.sinks.base import Heard
from edge.types import Detection

__all__ = ["AudacityLabels", "CsvTable", "RavenTable", "TerminalTable", "clock_time", "species"]

PIPE_WIDTH = 200  # columns where the output is not a terminal: enough that nothing is cut
BAND_HZ = 0.0  # Raven wants a frequency band; ours is the whole one

CSV_COLUMNS = (
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
RAVEN_COLUMNS = (
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


class CsvTable:
    """One row per detection; empty cells where a rejected sound has no name."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._provenance = provenance
        self._rows.writerow(CSV_COLUMNS)

    def write(self, heard: Heard) -> None:
        for d in heard.detections:
            named = self._provenance.labels[d.label] if d.label is not None else None
            self._rows.writerow(
                [
                    heard.file,
                    f"{d.start_s:.3f}",
                    f"{d.end_s:.3f}",
                    rfc3339(heard.clock.utc(d.start_sample)),
                    rfc3339(heard.clock.utc(d.end_sample)),
                    d.label or "",
                    named.common_name if named else "",
                    named.scientific_name if named else "",
                    d.nearest,
                    f"{d.score:.4f}",
                    f"{d.novelty:.4f}",
                    heard.clock.source,
                    d.id,
                ]
            )

    def close(self) -> None:
        pass


class RavenTable:
    """A Raven selection table. Raven opens several files as one sequence: begin times run on, the file offset is within a file."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
        self._provenance = provenance
        self._selection = 0
        self._begin_s = 0.0
        self._rows.writerow(RAVEN_COLUMNS)

    def write(self, heard: Heard) -> None:
        for d in heard.detections:
            self._selection += 1
            times = (f"{self._begin_s + d.start_s:.6f}", f"{self._begin_s + d.end_s:.6f}")
            band = (f"{BAND_HZ:.1f}", f"{d.sample_rate_hz / 2:.1f}")
            where = (heard.file, f"{d.start_s:.6f}")
            what = (species(d, self._provenance), d.label or "unknown", f"{d.score:.4f}", f"{d.novelty:.4f}")
            self._rows.writerow([self._selection, "Spectrogram 1", 1, *times, *band, *where, *what])
        self._begin_s += heard.duration_s

    def close(self) -> None:
        pass


class AudacityLabels:
    """An Audacity label track: start, end, text. Times are within each recording; the text names it once there are several."""

    def __init__(self, stream: TextIO, provenance: Provenance, *, several: bool) -> None:
        self._stream = stream
        self._provenance = provenance
        self._several = several

    def write(self, heard: Heard) -> None:
        for d in heard.detections:
            text = f"{species(d, self._provenance)} {d.score:.2f}"
            text = f"{heard.file}: {text}" if self._several else text
            text = " ".join(text.split())  # a tab or line break would be another column or label
            self._stream.write(f"{d.start_s:.6f}\t{d.end_s:.6f}\t{text}\n")

    def close(self) -> None:
        pass


class TerminalTable:
    """A table to read, with a line below it that says how much was heard and where the times come from."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        width = None if stream.isatty() else PIPE_WIDTH
        self._console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
        self._provenance = provenance
        self._table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("file", "time", "UTC"):
            self._table.add_column(column, overflow="fold")
        self._table.add_column("species", overflow="fold", style="bold")
        for column in ("score", "novelty"):
            self._table.add_column(column, justify="right")
        self._files = 0
        self._heard_s = 0.0
        self._clocks: dict[str, None] = {}

    def write(self, heard: Heard) -> None:
        from rich.text import Text

        for i, d in enumerate(heard.detections):
            time = f"{clock_time(d.start_s)} - {clock_time(d.end_s)}"
            utc = f"{heard.clock.utc(d.start_sample):%Y-%m-%d %H:%M:%S}"
            name = Text(species(d, self._provenance), style="" if d.label else "dim")
            self._table.add_row(Text(heard.file if i == 0 else ""), time, utc, name, f"{d.score:.2f}", f"{d.novelty:.2f}")
        self._files += 1
        self._heard_s += heard.duration_s
        self._clocks[heard.clock.source] = None

    def close(self) -> None:
        rows = self._table.row_count
        if rows:
            self._console.print(self._table)
        heard = f"{clock_time(self._heard_s)} of audio in {self._files} {'file' if self._files == 1 else 'files'}"
        self._console.print(
            f"{rows} {'detection' if rows == 1 else 'detections'} in {heard}; start times from: {', '.join(self._clocks)}"
        )


def species(d: Detection, provenance: Provenance) -> str:
    """What to call a detection in front of people."""
    if d.label is None:
        return f"unknown (nearest: {provenance.common_name(d.nearest)})"
    return provenance.common_name(d.label)


def clock_time(seconds: float) -> str:
    """Seconds as h:mm:ss.s, without hours where there are none."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
