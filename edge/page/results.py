"""Stored events as results that the formats of a replay write: a clip is the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any, TextIO, cast, get_args

import numpy as np

from edge.bundle import Label
from edge.bundle.labels import LABEL_KINDS
from edge.clock import Clock
from edge.page.clips import placed_clip
from edge.provenance import Provenance
from edge.replay.formats import Format, open_format
from edge.replay.formats.base import RecordingEffort, ReplayResult
from edge.signal import SignalHealth
from edge.store.events import StoredEvent
from edge.types import Detection, EventState

__all__ = ["result_of", "write_events"]

STATES: tuple[EventState, ...] = get_args(EventState)
NO_CLIP_HZ = 1_000_000  # microseconds, where a message says no rate


@dataclass(frozen=True, kw_only=True)
class StoredProvenance(Provenance):
    """What made one stored event: its probability is the one that it was given then."""

    stored_probability: float | None
    stored_calibration: str | None

    @property
    def calibration_digest(self) -> str | None:
        return self.stored_calibration

    def probability(self, label: str | None, score: float) -> float | None:
        return None if label is None else self.stored_probability


def write_events(
    events: Iterable[StoredEvent],
    stream: TextIO,
    form: Format,
    *,
    clips: Path,
    zone: Callable[[StoredEvent], tzinfo | None],
) -> None:
    """Write events in a format of a replay; `zone` gives local times, None for none."""
    writer = None
    for event in events:
        result = result_of(event, clips=clips, zone=zone(event))
        writer = writer or open_format(form, stream, _provenance(event), several=True)
        writer.write(result)
    if writer is None:
        writer = open_format(form, stream, NOTHING, several=True)
    writer.close()


def result_of(event: StoredEvent, *, clips: Path, zone: tzinfo | None) -> ReplayResult:
    """Return an event as the only one of its clip; without one, of its device's sound.

    Its samples are then microseconds from its beginning on, which has no other number.
    """
    placed = placed_clip(clips, event)
    rate_hz = NO_CLIP_HZ
    start_s, end_s, duration_s = 0.0, event.length_s, event.length_s
    name = event.text("device") or event.text("source")
    if placed is not None:
        start_s, end_s, duration_s = placed.start_s, placed.end_s, placed.duration_s
        name = str(placed.path)
        rate_hz = placed.sample_rate_hz
    detection = _detection(event, round(start_s * rate_hz), round(end_s * rate_hz), rate_hz)
    effort = RecordingEffort(audio_s=duration_s, judged_s=duration_s)
    return ReplayResult(
        file=name,
        path=name,
        duration_s=duration_s,
        clock=_clock(event, start_s, rate_hz, zone),
        detections=(detection,),
        effort=effort,
        provenance=_provenance(event),
    )


def _clock(event: StoredEvent, start_s: float, rate_hz: int, zone: tzinfo | None) -> Clock:
    clock = _mapping(event.payload.get("clock"))
    uncertainty_s = clock.get("uncertainty_s")
    return Clock(
        start_utc=event.start - timedelta(seconds=start_s),
        sample_rate_hz=rate_hz,
        source="system",
        synced=clock.get("synced") is True,
        uncertainty_s=uncertainty_s if isinstance(uncertainty_s, int | float) else 0.0,
        zone=zone,
    )


def _detection(event: StoredEvent, start: int, end: int, rate_hz: int) -> Detection:
    state = cast("EventState", event.state)
    return Detection(
        id=event.id,
        state=state if state in STATES else "end",
        label=event.label,
        nearest=_nearest(event),
        score=event.score,
        novelty=event.novelty,
        top=event.top,
        start_sample=start,
        end_sample=end,
        peak_sample=start,
        sample_rate_hz=rate_hz,
        windows=int(event.number_of("windows") or 0),
        health=_health(event),
        embedding=np.zeros(0, np.float32),
        animal=event.animal,
    )


def _health(event: StoredEvent) -> SignalHealth:
    health = _mapping(event.payload.get("health"))
    numbers = {
        name: float(value) if isinstance(value := health.get(name), int | float) else 0.0
        for name in ("rms_dbfs", "peak_dbfs", "clip_ratio", "dc")
    }
    return SignalHealth(
        **numbers, dead=health.get("dead") is True, stuck=health.get("stuck") is True
    )


def _provenance(event: StoredEvent) -> StoredProvenance:
    return StoredProvenance(
        bundle=event.text("bundle"),
        config=event.text("config"),
        code=event.text("code"),
        labels={label.label: label for label in _labels(event)},
        backend=event.text("backend"),
        variant=event.text("variant"),
        stored_probability=event.probability,
        stored_calibration=event.text("calibration") or None,
    )


def _labels(event: StoredEvent) -> Iterator[Label]:
    """Yield what the labels of a message are called, as far as it says so."""
    for label in (_nearest(event), *(score.label for score in event.top)):
        yield Label(label=label, common_name=label)
    if event.label is not None:
        kinds = [kind for kind in LABEL_KINDS if kind == event.kind]
        yield Label(
            label=event.label,
            common_name=event.name,
            scientific_name=event.scientific_name,
            kind=kinds[0] if kinds else "animal",
        )


def _nearest(event: StoredEvent) -> str:
    return event.nearest or event.label or (event.top[0].label if event.top else "none")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


NOTHING = Provenance(bundle="", config="", code="", labels={}, backend="", variant="")
