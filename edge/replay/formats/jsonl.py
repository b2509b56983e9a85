"""JSON Lines: one object per detection or per window."""

from __future__ import annotations

import json
from typing import Any, TextIO

from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.wire import detection_payload, window_payload

__all__ = ["DetectionLines", "WindowLines"]


class DetectionLines:
    """Writes one line per detection in the wire format."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._stream = stream
        self._provenance = provenance

    def write(self, result: ReplayResult) -> None:
        for d in result.detections:
            payload = detection_payload(
                d, source=result.file, clock=result.clock, provenance=self._provenance
            )
            _line(self._stream, payload)

    def close(self) -> None:
        pass


class WindowLines:
    """Writes one line per window, rejected ones too."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._stream = stream
        self._several = provenance.several

    def write(self, result: ReplayResult) -> None:
        for p in result.predictions():
            _line(self._stream, window_payload(p, file=result.file, several=self._several))

    def close(self) -> None:
        pass


def _line(stream: TextIO, payload: dict[str, Any]) -> None:
    # NaN is not JSON: better an error here than a line that no other program can read.
    stream.write(json.dumps(payload, allow_nan=False) + "\n")
