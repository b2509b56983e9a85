"""The frozen form of what leaves this program.

`config/detection.v1.schema.json` describes detections. A field is never renamed, removed or given
another meaning within a schema version; consumers ignore fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.store.effort import EffortMinute
from edge.types import Detection, Prediction, Score, SignalHealth
from edge.wire_parts import (
    DIGITS,
    calibration_of,
    clock_of,
    health_of,
    local_start,
    probability_of,
)
from edge.wire_times import event_times, event_uncertainties

__all__ = [
    "DIGITS",
    "SCHEMA_VERSION",
    "detection_payload",
    "effort_payload",
    "health_payload",
    "info_payload",
    "recorder_payload",
    "recording_payload",
    "window_payload",
]

SCHEMA_VERSION = 1


def detection_payload(
    d: Detection, *, source: str, clock: Clock, provenance: Provenance
) -> dict[str, Any]:
    """Return a detection in version 1 of the wire format.

    `source` is the recording as its path was given, or the recorder's name.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "id": d.id,
        "state": d.state,
        "source": source,
        **_label(d.label, provenance),
        "nearest": d.nearest,
        "score": round(d.score, DIGITS),
        **probability_of(d.label, d.score, provenance),
        "novelty": round(d.novelty, DIGITS),
        "top": _top(d.top),
        **event_times(d, clock=clock, digits=DIGITS),
        "windows": d.windows,
        "health": health_of(d.health),
        "clock": clock_of(clock),
        **provenance.origin,
        **event_uncertainties(d, digits=DIGITS),
        **local_start(clock, d.start_sample),
    }


def recording_payload(
    *,
    duration_s: float,
    header_s: float | None,
    missing_s: float,
    gap_s: float,
    judged_s: float,
    unjudged_s: Mapping[Literal["dead", "stuck", "short"], float],
) -> dict[str, Any]:
    """Return what became of a recording's audio, for the field `recording` of its detections."""
    return {
        "duration_s": round(duration_s, DIGITS),
        "header_s": None if header_s is None else round(header_s, DIGITS),
        "missing_s": round(missing_s, DIGITS),
        "gap_s": round(gap_s, DIGITS),
        "judged_s": round(judged_s, DIGITS),
        "unjudged_s": {reason: round(s, DIGITS) for reason, s in unjudged_s.items()},
    }


def recorder_payload(
    d: Detection,
    *,
    device: str,
    site: str,
    boot_id: str,
    clip: str | None,
    clock: Clock,
    provenance: Provenance,
    withheld: Score | None = None,
) -> dict[str, Any]:
    """Return a detection of a live recorder.

    It adds the recorder, the place it stands at, the start of the machine and the file of the
    sound; and where that was `withheld`, for which label.
    """
    payload = detection_payload(d, source=device, clock=clock, provenance=provenance)
    payload |= {"device": device, "site": site, "boot_id": boot_id, "clip": clip}
    if withheld is not None:
        payload["clip_withheld"] = {"reason": "privacy", **_top([withheld])[0]}
    return payload


def effort_payload(
    minute: EffortMinute, *, device: str, boot_id: str, clock: Clock
) -> dict[str, Any]:
    """Return what became of a minute of audio; its kinds of seconds add up to its length."""
    return {
        "schema_version": SCHEMA_VERSION,
        "device": device,
        "boot_id": boot_id,
        "start_utc": rfc3339(clock.utc(minute.start_sample)),
        "end_utc": rfc3339(clock.utc(minute.end_sample)),
        "start_sample": minute.start_sample,
        "end_sample": minute.end_sample,
        "sample_rate_hz": minute.sample_rate_hz,
        "heard_s": round(minute.seconds("heard"), DIGITS),
        "lost_s": round(minute.seconds("lost"), DIGITS),
        "gated_s": round(minute.seconds("gated"), DIGITS),
        "dropped_s": round(minute.seconds("dropped"), DIGITS),
        "unknown_s": round(minute.seconds("unknown"), DIGITS),
        **_withheld(minute),
        "clock": clock_of(clock),
    }


def health_payload(
    health: SignalHealth, *, device: str, boot_id: str, time: datetime, clock: Clock
) -> dict[str, Any]:
    """Return the state of the microphone in the window that ended at `time`."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "device": device,
        "boot_id": boot_id,
        "time_utc": rfc3339(time),
    }
    return {**head, **health_of(health), "clock": clock_of(clock)}


def info_payload(
    *,
    device: str,
    site: str,
    boot_id: str,
    version: str,
    provenance: Provenance,
    started: datetime,
    position: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Return who the recorder is and what it runs; nothing of it is secret.

    `position` is latitude and longitude in degrees, WGS84, where they are configured.
    """
    place = {} if position is None else dict(zip(("latitude", "longitude"), position, strict=True))
    return {
        "schema_version": SCHEMA_VERSION,
        "device": device,
        "site": site,
        "boot_id": boot_id,
        "version": version,
        **(provenance.origin | provenance.bundles),
        **calibration_of(provenance),
        "labels": sorted(provenance.labels),
        "started_utc": rfc3339(started),
        **place,
    }


def window_payload(p: Prediction, *, file: str, provenance: Provenance) -> dict[str, Any]:
    """Return one window of a replay; its fields are frozen like those of a detection.

    `unjudged` says why the model was not asked, and is null where it was. Where the bundle gives
    several labels at once, `labels` has all of them. A `probability` is that of an event of which
    this is the best window.
    """
    payload = {
        "file": file,
        "start_s": round(p.start_s, DIGITS),
        "end_s": round(p.end_s, DIGITS),
        "label": p.label,
        "nearest": p.nearest,
        "score": round(p.score, DIGITS),
        **probability_of(p.label, p.score, provenance),
        "novelty": round(p.novelty, DIGITS),
        "top": _top(p.top),
    }
    if provenance.several:
        payload["labels"] = _top(p.accepted)
    payload["unjudged"] = "stuck" if p.health.stuck else "dead" if p.health.dead else None
    return payload


def _label(label: str | None, provenance: Provenance) -> dict[str, Any]:
    named = provenance.named(label)
    return {
        "label": label,
        "common_name": named.common_name if named else None,
        "scientific_name": (named.scientific_name or None) if named else None,
        "kind": named.kind if named else None,
    }


def _withheld(minute: EffortMinute) -> dict[str, Any]:
    """Return what was withheld in a minute, or left out; nothing where nothing was."""
    private_s = round(minute.seconds("private"), DIGITS)
    found = {
        "private_s": private_s,
        "clips_withheld": minute.clips_withheld,
        "below_precision": minute.below_precision,
    }
    return {key: value for key, value in found.items() if value}


def _top(top: Iterable[Score]) -> list[dict[str, Any]]:
    return [{"label": s.label, "score": round(s.score, DIGITS)} for s in top]
