"""Plug point: forms of a replay's results, each a file here and a line in `open_format`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from edge.provenance import Provenance
    from edge.replay.formats.base import FormatWriter

__all__ = ["FORMATS", "Format", "open_format"]

Format = Literal["table", "jsonl", "csv", "raven", "audacity", "windows"]
FORMATS: tuple[Format, ...] = ("table", "jsonl", "csv", "raven", "audacity", "windows")


def open_format(
    form: Format, stream: TextIO, provenance: Provenance, *, several: bool
) -> FormatWriter:
    """Return the writer of one format; `several` recordings will follow, or just one."""
    # Late, so that the command line knows the formats' names without importing scipy.
    from edge.replay.formats import audacity, csv, jsonl, raven, table

    match form:
        case "table":
            return table.TerminalTable(stream, provenance)
        case "jsonl":
            return jsonl.DetectionLines(stream, provenance)
        case "windows":
            return jsonl.WindowLines(stream, provenance)
        case "csv":
            return csv.CsvTable(stream, provenance)
        case "raven":
            return raven.RavenTable(stream, provenance)
        case "audacity":
            return audacity.AudacityLabels(stream, provenance, several=several)
