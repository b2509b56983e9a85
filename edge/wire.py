"""The frozen form of what leaves this program.

`config/detection.v1.schema.json` describes detections. A field is never renamed, removed or given
another meaning within a schema version; consumers ignore fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.store.effort import EffortMinute
from edge.types import Detection, Outcome, Score, SignalHealth
from edge.wire_parts import (
    DIGITS,
    calibration_of,
    clock_of,
    event_times,
    event_uncertainties,
    health_of,
    local_start,
    probability_of,
)

__all__ = [
    "DIGITS",
    "SCHEMA_VERSION",
    "animal_payload",
    "detection_payload",
    "effort_payload",
    "health_payload",
    "info_payload",
    "outcome_of_event",
    "recorder_payload",
    "scores_payload",
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
        "outcome": outcome_of_event(d, provenance),
        "nearest": d.nearest,
        "score": round(d.score, DIGITS),
        **probability_of(d.label, d.score, provenance),
        "novelty": round(d.novelty, DIGITS),
        **animal_payload(d.animal),
        "top": scores_payload(d.top),
        **event_times(d, clock=clock),
        "windows": d.windows,
        "health": health_of(d.health),
        "clock": clock_of(clock),
        **provenance.origin,
        **event_uncertainties(d),
        **local_start(clock, d.start_sample),
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
        payload["clip_withheld"] = {"reason": "privacy", **scores_payload([withheld])[0]}
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
        **_windows(minute),
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


def animal_payload(animal: float | None) -> dict[str, float]:
    """Return how surely an animal stands out; nothing where the bundle cannot tell."""
    return {} if animal is None else {"animal": round(animal, DIGITS)}


def scores_payload(top: Iterable[Score]) -> list[dict[str, Any]]:
    """Return labels with their scores."""
    return [{"label": s.label, "score": round(s.score, DIGITS)} for s in top]


def _label(label: str | None, provenance: Provenance) -> dict[str, Any]:
    named = provenance.named(label)
    return {
        "label": label,
        "common_name": named.common_name if named else None,
        "scientific_name": (named.scientific_name or None) if named else None,
        "kind": named.kind if named else None,
    }


def outcome_of_event(d: Detection, provenance: Provenance) -> Outcome:
    """Return what an event is; nothing makes none."""
    if d.label is None:
        return "unknown"
    return "label" if provenance.is_animal(d.label) else "other"


def _windows(minute: EffortMinute) -> dict[str, Any]:
    """Return how many windows of a minute were what; nothing where none was heard."""
    return {"windows": minute.windows.as_mapping()} if minute.windows.total else {}


def _withheld(minute: EffortMinute) -> dict[str, Any]:
    """Return what was withheld in a minute, or left out; nothing where nothing was."""
    private_s = round(minute.seconds("private"), DIGITS)
    found = {
        "private_s": private_s,
        "clips_withheld": minute.clips_withheld,
        "below_precision": minute.below_precision,
    }
    return {key: value for key, value in found.items() if value}
