"""When an event was, as it leaves this program: a part of `edge.wire`, frozen like all of it."""

from __future__ import annotations

from typing import Any

from edge.clock import Clock, rfc3339
from edge.types import Detection

__all__ = ["event_times", "event_uncertainties"]


def event_times(d: Detection, *, clock: Clock, digits: int) -> dict[str, Any]:
    """Return start, end and peak of an event, with seconds to so many `digits`."""
    return {
        "start_sample": d.start_sample,
        "end_sample": d.end_sample,
        "peak_sample": d.peak_sample,
        "sample_rate_hz": d.sample_rate_hz,
        "start_s": round(d.start_s, digits),
        "end_s": round(d.end_s, digits),
        "start_utc": rfc3339(clock.utc(d.start_sample)),
        "end_utc": rfc3339(clock.utc(d.end_sample)),
    }


def event_uncertainties(d: Detection, *, digits: int) -> dict[str, Any]:
    """Return how far start and end may be off; nothing where they are those of windows."""
    found = {
        "start_uncertainty_s": d.start_uncertainty_s,
        "end_uncertainty_s": d.end_uncertainty_s,
    }
    return {key: round(s, digits) for key, s in found.items() if s is not None}
