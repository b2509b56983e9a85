"""Fields that several messages of the wire format have in common."""

from __future__ import annotations

from typing import Any

from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.types import Detection, SignalHealth

__all__ = [
    "DIGITS",
    "calibration_of",
    "clock_of",
    "event_times",
    "event_uncertainties",
    "health_of",
    "local_start",
    "probability_of",
]

DIGITS = 6  # decimals of scores and seconds: finer than a sample at 22 050 Hz


def probability_of(label: str | None, score: float, provenance: Provenance) -> dict[str, Any]:
    """Return how likely `label` is right, and by which calibration; nothing where that is not
    known.
    """
    probability = provenance.probability(label, score)
    if probability is None or provenance.calibration is None:
        return {}
    return {
        "probability": round(probability, DIGITS),
        "calibration": provenance.calibration.digest,
    }


def calibration_of(provenance: Provenance) -> dict[str, Any]:
    """Return what probabilities rest on; nothing where there are none.

    `right` is the share of the events that had the right label: the prevalence that they hold for.
    """
    if provenance.calibration is None:
        return {}
    basis = [
        {
            "recordings": part.recordings,
            "method": part.method,
            "digest": part.digest,
            "events": part.events,
            "right": round(part.right, DIGITS),
        }
        for part in provenance.calibration.basis
    ]
    return {"calibration": provenance.calibration.digest, "calibrated_on": basis}


def event_times(d: Detection, *, clock: Clock) -> dict[str, Any]:
    """Return start, end and peak of an event."""
    return {
        "start_sample": d.start_sample,
        "end_sample": d.end_sample,
        "peak_sample": d.peak_sample,
        "sample_rate_hz": d.sample_rate_hz,
        "start_s": round(d.start_s, DIGITS),
        "end_s": round(d.end_s, DIGITS),
        "start_utc": rfc3339(clock.utc(d.start_sample)),
        "end_utc": rfc3339(clock.utc(d.end_sample)),
    }


def event_uncertainties(d: Detection) -> dict[str, Any]:
    """Return how far start and end may be off; nothing where they are those of windows."""
    found = {
        "start_uncertainty_s": d.start_uncertainty_s,
        "end_uncertainty_s": d.end_uncertainty_s,
    }
    return {key: round(s, DIGITS) for key, s in found.items() if s is not None}


def local_start(clock: Clock, sample: int) -> dict[str, str]:
    """Return the local time of an event where the zone is known; RFC 3339 with its offset."""
    local = clock.local(sample)
    return {} if local is None else {"start_local": local.isoformat(timespec="microseconds")}


def clock_of(clock: Clock) -> dict[str, Any]:
    """Return what is known of the clock."""
    payload = {
        "source": clock.source,
        "synced": clock.synced,
        "uncertainty_s": clock.uncertainty_s,
    }
    return payload if clock.dated else {**payload, "dated": False}


def health_of(health: SignalHealth) -> dict[str, Any]:
    """Return the state of the signal."""
    return {
        "rms_dbfs": round(health.rms_dbfs, 2),
        "peak_dbfs": round(health.peak_dbfs, 2),
        "clip_ratio": round(health.clip_ratio, DIGITS),
        "dc": round(health.dc, DIGITS),
        "dead": health.dead,
        "stuck": health.stuck,
    }
