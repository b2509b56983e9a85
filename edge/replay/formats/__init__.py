"""Plug point: forms of a replay's results, each a file here and a line in `open_format`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TextIO, get_args

if TYPE_CHECKING:
    from edge.provenance import Provenance
    from edge.replay.formats.base import FormatWriter

__all__ = ["FORMATS", "TOP_FORMATS", "Format", "open_format"]

Format = Literal[
    "table", "jsonl", "csv", "raven", "audacity", "kaleidoscope", "recordings", "windows"
]
FORMATS: tuple[Format, ...] = get_args(Format)
# Tables that can have further columns for the best labels.
TOP_FORMATS: tuple[Format, ...] = ("csv", "raven")


def open_format(
    form: Format, stream: TextIO, provenance: Provenance, *, several: bool, top: int = 0
) -> FormatWriter:
    """Return the writer of one format; `several` recordings will follow, or just one.

    `top` is the number of best labels with columns of their own, where the format has such.
    """
    # Late, so that the command line knows the formats' names without importing scipy.
    from edge.replay.formats import audacity, csv, jsonl, kaleidoscope, raven, recordings, table

    writer: FormatWriter
    match form:
        case "table":
            writer = table.TerminalTable(stream, provenance)
        case "jsonl":
            writer = jsonl.DetectionLines(stream, provenance)
        case "windows":
            writer = jsonl.WindowLines(stream, provenance)
        case "csv":
            writer = csv.CsvTable(stream, provenance, top=top)
        case "raven":
            writer = raven.RavenTable(stream, provenance, top=top)
        case "audacity":
            writer = audacity.AudacityLabels(stream, provenance, several=several)
        case "kaleidoscope":
            writer = kaleidoscope.KaleidoscopeTable(stream, provenance)
        case "recordings":
            writer = recordings.RecordingsTable(stream, provenance)
    return writer
