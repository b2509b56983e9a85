"""Plug point: forms of a replay's results, each a file here and a line in `open_sink`; see
`base`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:  # they bring scipy, which the delivery alone does not need
    from edge.provenance import Provenance
    from edge.replay.formats.base import Sink

__all__ = ["FORMATS", "Format", "open_sink"]

Format = Literal["table", "jsonl", "csv", "raven", "audacity", "windows"]
FORMATS: tuple[Format, ...] = ("table", "jsonl", "csv", "raven", "audacity", "windows")


def open_sink(kind: Format, stream: TextIO, provenance: Provenance, *, several: bool) -> Sink:
    """The writer of one format; `several` recordings will follow, or just one."""
    from edge.replay.formats import jsonl, tables

    match kind:
        case "table":
            return tables.TerminalTable(stream, provenance)
        case "jsonl":
            return jsonl.DetectionLines(stream, provenance)
        case "windows":
            return jsonl.WindowLines(stream, provenance)
        case "csv":
            return tables.CsvTable(stream, provenance)
        case "raven":
            return tables.RavenTable(stream, provenance)
        case "audacity":
            return tables.AudacityLabels(stream, provenance, several=several)
