"""The frozen form of a detection outside this program: `config/detection.v1.schema.json` describes it.

A field is never renamed, removed or given another meaning within a schema version; consumers ignore fields they do not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.types import Detection, Prediction, Score, SignalHealth

__all__ = ["SCHEMA_VERSION", "detection_payload", "window_payload"]

SCHEMA_VERSION = 1
DIGITS = 6  # decimals of scores and seconds: finer than a sample at 22 050 Hz


def detection_payload(d: Detection, *, source: str, clock: Clock, provenance: Provenance) -> dict[str, Any]:
    """The wire format, version 1. `source` is the recording as its path was given, or the recorder's name."""
    named = provenance.labels[d.label] if d.label is not None else None
    return {
        "schema_version": SCHEMA_VERSION,
        "id": d.id,
        "state": d.state,
        "source": source,
        "label": d.label,
        "common_name": named.common_name if named else None,
        "scientific_name": (named.scientific_name or None) if named else None,
        "nearest": d.nearest,
        "score": round(d.score, DIGITS),
        "novelty": round(d.novelty, DIGITS),
        "top": _top(d.top),
        "start_sample": d.start_sample,
        "end_sample": d.end_sample,
        "peak_sample": d.peak_sample,
        "sample_rate_hz": d.sample_rate_hz,
        "start_s": round(d.start_s, DIGITS),
        "end_s": round(d.end_s, DIGITS),
        "start_utc": rfc3339(clock.utc(d.start_sample)),
        "end_utc": rfc3339(clock.utc(d.end_sample)),
        "windows": d.windows,
        "health": _health(d.health),
        "clock": {"source": clock.source, "synced": clock.synced, "uncertainty_s": clock.uncertainty_s},
        "bundle": provenance.bundle,
        "config": provenance.config,
        "code": provenance.code,
    }


def window_payload(p: Prediction, *, file: str) -> dict[str, Any]:
    """One window of a replay; frozen like the detection."""
    return {
        "file": file,
        "start_s": round(p.start_s, DIGITS),
        "end_s": round(p.end_s, DIGITS),
        "label": p.label,
        "nearest": p.nearest,
        "score": round(p.score, DIGITS),
        "novelty": round(p.novelty, DIGITS),
        "top": _top(p.top),
    }


def _top(top: Iterable[Score]) -> list[dict[str, Any]]:
    return [{"label": s.label, "score": round(s.score, DIGITS)} for s in top]


def _health(health: SignalHealth) -> dict[str, Any]:
    return {
        "rms_dbfs": round(health.rms_dbfs, 2),
        "peak_dbfs": round(health.peak_dbfs, 2),
        "clip_ratio": round(health.clip_ratio, DIGITS),
        "dc": round(health.dc, DIGITS),
        "dead": health.dead,
        "stuck": health.stuck,
    }
