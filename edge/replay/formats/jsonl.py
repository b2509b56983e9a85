"""JSON Lines: one object per detection or per window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from edge.detect.decision import outcome_of
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.cells import REASONS, end_of
from edge.replay.payloads import recording_payload, window_payload
from edge.types import Detection, Prediction
from edge.wire import DIGITS, detection_payload

__all__ = ["DetectionLines", "WindowLines", "detection_lines", "detection_payloads"]


class DetectionLines:
    """Writes one line per detection in the wire format, with what became of its recording."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._stream = stream
        self._provenance = provenance

    def write(self, result: ReplayResult) -> None:
        for line in detection_lines(result, self._provenance):
            _line(self._stream, line)

    def close(self) -> None:
        pass


class WindowLines:
    """Writes one line per window, rejected ones too."""

    def __init__(self, stream: TextIO, provenance: Provenance) -> None:
        self._stream = stream
        self._provenance = provenance

    def write(self, result: ReplayResult) -> None:
        for p in result.predictions():
            judged = not p.health.gated
            payload = window_payload(
                p,
                file=result.file,
                outcome=outcome_of(p, is_animal=self._provenance.is_animal) if judged else None,
                provenance=self._provenance,
            )
            _line(self._stream, {**payload, **_end(p, result)})

    def close(self) -> None:
        pass


def detection_lines(result: ReplayResult, provenance: Provenance) -> Iterator[dict[str, Any]]:
    """Yield the detections of a recording, each with what became of that."""
    recording = _recording(result)
    for payload in detection_payloads(result, provenance):
        yield {**payload, "recording": recording}


def detection_payloads(result: ReplayResult, provenance: Provenance) -> Iterator[dict[str, Any]]:
    """Yield the detections of a recording in the wire format; none ends after the recording."""
    for d in result.detections:
        payload = detection_payload(
            d,
            source=result.file,
            clock=result.clock,
            provenance=result.provenance or provenance,
        )
        yield {**payload, **_end(d, result)}


def _end(span: Detection | Prediction, result: ReplayResult) -> dict[str, float]:
    return {"end_s": end_of(span.end_s, result, DIGITS)}


def _recording(result: ReplayResult) -> dict[str, Any]:
    effort = result.effort
    return recording_payload(
        duration_s=result.duration_s,
        header_s=effort.header_s,
        missing_s=effort.missing_s,
        gap_s=effort.gap_s,
        judged_s=effort.judged_s,
        unjudged_s={reason: effort.unjudged_s.get(reason, 0.0) for reason in REASONS},
    )


def _line(stream: TextIO, payload: dict[str, Any]) -> None:
    # NaN is not JSON: better an error here than a line that no other program can read.
    stream.write(json.dumps(payload, allow_nan=False) + "\n")
