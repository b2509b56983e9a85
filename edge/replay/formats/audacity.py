"""Audacity label tracks."""

from __future__ import annotations

from typing import TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.cells import end_of
from edge.replay.formats.guarded import guarded_path
from edge.replay.formats.names import display_name
from edge.terminal import printable

__all__ = ["AudacityLabels"]

DECIMALS = 6  # of seconds


class AudacityLabels:
    """Writes an Audacity label track: start, end, text.

    Times are within each recording; the text names the recording once there are several.
    """

    def __init__(self, stream: TextIO, provenance: Provenance, *, several: bool) -> None:
        self._stream = stream
        self._provenance = provenance
        self._several = several

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            text = f"{display_name(d, self._provenance)} {d.score:.2f}"
            text = f"{guarded_path(result.file)}: {text}" if self._several else text
            end_s = end_of(d.end_s, result, DECIMALS)
            span = f"{d.start_s:.{DECIMALS}f}\t{end_s:.{DECIMALS}f}"
            # A tab or a line break would be another column or label.
            self._stream.write(f"{span}\t{printable(text)}\n")

    def close(self) -> None:
        pass
