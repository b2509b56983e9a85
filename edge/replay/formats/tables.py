"""Tables for people and for the programs they open results in: terminal, CSV, Raven, Audacity."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from edge.clock import rfc3339
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.types import Detection

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["AudacityLabels", "CsvTable", "RavenTable", "TerminalTable", "clock_time", "species"]

PIPE_WIDTH = 200  # columns where the output is not a terminal: enough that nothing is cut
UNKNOWN = "unknown"
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


class RavenTable:
    """A Raven selection table. Raven opens several files as one sequence: begin times run on, the
    file offset is within a file.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._rows = csv.writer(
            stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        self._provenance = provenance
        self._selection = 0
        self._begin_s = 0.0
        self._rows.writerow(RAVEN_COLUMNS)

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            self._selection += 1
            times = (f"{self._begin_s + d.start_s:.6f}", f"{self._begin_s + d.end_s:.6f}")
            band = (f"{BAND_HZ:.1f}", f"{d.sample_rate_hz / 2:.1f}")
            where = (result.file, f"{d.start_s:.6f}")
            what = (
                species(d, self._provenance),
                d.label or "unknown",
                f"{d.score:.4f}",
                f"{d.novelty:.4f}",
            )
            self._rows.writerow([self._selection, "Spectrogram 1", 1, *times, *band, *where, *what])
        self._begin_s += result.duration_s

    def close(self) -> None:
        pass


class AudacityLabels:
    """An Audacity label track: start, end, text. Times are within each recording; the text names it
    once there are several.
    """

    def __init__(self, stream: TextIO, provenance: Provenance, *, several: bool) -> None:
        self._stream = stream
        self._provenance = provenance
        self._several = several

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            text = f"{species(d, self._provenance)} {d.score:.2f}"
            text = f"{result.file}: {text}" if self._several else text
            text = " ".join(text.split())  # a tab or line break would be another column or label
            self._stream.write(f"{d.start_s:.6f}\t{d.end_s:.6f}\t{text}\n")

    def close(self) -> None:
        pass


class TerminalTable:
    """A table to read: the recordings' names as headings, and a last line that says how much was
    heard and by which clock.
    """

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        from rich.console import Console

        width = None if stream.isatty() else PIPE_WIDTH
        self._console = Console(
            file=stream, width=width, highlight=False, markup=False, emoji=False
        )
        self._provenance = provenance
        self._groups: list[tuple[str, list[tuple[str, ...]]]] = []
        self._files = 0
        self._heard_s = 0.0
        self._clocks: dict[str, None] = {}

    def write(self, result: ReplayResult) -> None:
        rows = [self._row(d, result) for d in result.detections]
        if rows:
            self._groups.append((result.file, rows))
        self._files += 1
        self._heard_s += result.duration_s
        self._clocks[result.clock.source] = None

    def close(self) -> None:
        if self._groups:
            self._console.print(self._table())
        rows = sum(len(rows) for _, rows in self._groups)
        heard = f"{clock_time(self._heard_s)} of audio in {_count(self._files, 'file')}"
        self._console.print(
            f"{_count(rows, 'detection')} in {heard}; start times from: {', '.join(self._clocks)}",
            soft_wrap=True,
        )

    def _row(self, d: Detection, result: ReplayResult) -> tuple[str, ...]:
        time = f"{clock_time(d.start_s):>9} - {clock_time(d.end_s)}"
        utc = f"{result.clock.utc(d.start_sample):%Y-%m-%d %H:%M:%S}"
        return time, utc, species(d, self._provenance), f"{d.score:.2f}", f"{d.novelty:.2f}"

    def _table(self) -> RenderableType:
        """One grid for all recordings, so that columns stay in line; the names stand between its
        parts.
        """
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        widths = [max(len(row[i]) for _, rows in self._groups for row in rows) for i in range(3)]
        parts: list[RenderableType] = []
        for file, rows in self._groups:
            table = Table(box=None, show_header=not parts, padding=(0, 2, 0, 0), header_style="dim")
            for name, width in zip(("     time", "UTC"), widths[:2], strict=True):
                table.add_column(name, min_width=width, no_wrap=True)
            table.add_column("species", min_width=min(widths[2], 24), overflow="fold")
            table.add_column("score", min_width=5, justify="right", no_wrap=True)
            table.add_column("novelty", min_width=7, justify="right", no_wrap=True)
            for time, utc, name, score, novelty in rows:
                style = "dim" if name.startswith(UNKNOWN) else "bold"
                table.add_row(time, utc, Text(name.ljust(widths[2]), style=style), score, novelty)
            parts += [Text(file, style="cyan", overflow="fold"), table]
        return Group(*parts)


def species(d: Detection, provenance: Provenance) -> str:
    """What to call a detection in front of people."""
    if d.label is None:
        return f"{UNKNOWN} (nearest: {provenance.common_name(d.nearest)})"
    return provenance.common_name(d.label)


def clock_time(seconds: float) -> str:
    """Seconds as h:mm:ss.s, without hours where there are none."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
