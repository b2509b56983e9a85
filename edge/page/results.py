"""Stored events as results that the formats of a replay write: a clip is the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from itertools import groupby
from typing import Any, TextIO, cast, get_args

import numpy as np

from edge.bundle import Label
from edge.bundle.labels import LABEL_KINDS
from edge.clock import UNDATED_S, Clock, ClockSource
from edge.page.clips import Clips
from edge.page.dates import is_date
from edge.provenance import Provenance
from edge.replay.formats import Format, open_format
from edge.replay.formats.base import RecordingEffort, ReplayResult, Unjudged
from edge.signal import SignalHealth
from edge.store.events import StoredEvent
from edge.types import Detection, EventState

__all__ = ["result_of", "write_events"]

STATES: tuple[EventState, ...] = get_args(EventState)
SOURCES: tuple[ClockSource, ...] = get_args(ClockSource)
LENGTHS = ("duration_s", "judged_s", "missing_s", "gap_s")
NO_CLIP_HZ = 1_000_000  # microseconds, where a message says no rate


@dataclass(frozen=True, kw_only=True)
class StoredProvenance(Provenance):
    """What made stored events: their probabilities are those that they were given then."""

    stored_probabilities: Mapping[tuple[str | None, float], float | None]
    stored_calibration: str | None

    @property
    def calibration_digest(self) -> str | None:
        return self.stored_calibration

    def probability(self, label: str | None, score: float) -> float | None:
        return None if label is None else self.stored_probabilities.get((label, score))


def write_events(
    events: Iterable[StoredEvent],
    stream: TextIO,
    form: Format,
    *,
    clips: Clips,
    zone: Callable[[StoredEvent], tzinfo | None],
) -> None:
    """Write events in a format of a replay; `zone` gives local times, None for none."""
    writer = None
    for result in _results(events, clips, zone):
        writer = writer or open_format(form, stream, result.provenance or NOTHING, several=True)
        writer.write(result)
    if writer is None:
        writer = open_format(form, stream, NOTHING, several=True)
    writer.close()


def _results(
    events: Iterable[StoredEvent], clips: Clips, zone: Callable[[StoredEvent], tzinfo | None]
) -> Iterator[ReplayResult]:
    if not clips.of_recordings:
        yield from (result_of(event, clips=clips, zone=zone(event)) for event in events)
        return
    for _, own in groupby(events, key=lambda event: event.text("source")):
        together = list(own)
        yield _in_recording(together, zone(together[0]))


def _in_recording(events: Sequence[StoredEvent], zone: tzinfo | None) -> ReplayResult:
    """Return events of a dataset in the recording that they were heard in, which is not opened."""
    first = events[0]
    source = str(first.payload.get("source"))
    recording = _mapping(first.payload.get("recording"))
    lengths = {name: _number(recording.get(name)) for name in LENGTHS}
    rate_hz = round(first.number_of("sample_rate_hz") or 0) or NO_CLIP_HZ
    unjudged_s = _mapping(recording.get("unjudged_s"))
    effort = RecordingEffort(
        audio_s=lengths["judged_s"] + sum(map(_number, unjudged_s.values())),
        judged_s=lengths["judged_s"],
        missing_s=lengths["missing_s"],
        gap_s=lengths["gap_s"],
        header_s=None if recording.get("header_s") is None else _number(recording["header_s"]),
        unjudged_s={why: _number(unjudged_s.get(why)) for why in get_args(Unjudged)},
    )
    return ReplayResult(
        file=source,
        path=source,
        duration_s=lengths["duration_s"],
        clock=_clock(first, first.number_of("start_s") or 0.0, rate_hz, zone),
        detections=tuple(_detection(event, *_samples(event), rate_hz) for event in events),
        effort=effort,
        provenance=_provenance(*events),
    )


def _samples(event: StoredEvent) -> tuple[int, int]:
    start, end = (event.number_of(f"{end}_sample") or 0.0 for end in ("start", "end"))
    return round(start), round(end)


def result_of(event: StoredEvent, *, clips: Clips, zone: tzinfo | None) -> ReplayResult:
    """Return an event as the only one of its clip; without one, of its device's sound.

    Its samples are then microseconds from its beginning on, which has no other number.
    """
    placed = clips.placed(event)
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
    uncertainty_s = _number(clock.get("uncertainty_s")) if is_date(event.start) else UNDATED_S
    source = clock.get("source")
    return Clock(
        start_utc=event.start - timedelta(seconds=start_s),
        sample_rate_hz=rate_hz,
        source=source if source in SOURCES else "system",
        synced=clock.get("synced") is True,
        uncertainty_s=uncertainty_s,
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


def _provenance(*events: StoredEvent) -> StoredProvenance:
    first = events[0]
    return StoredProvenance(
        bundle=first.text("bundle"),
        config=first.text("config"),
        code=first.text("code"),
        labels={label.label: label for event in events for label in _labels(event)},
        backend=first.text("backend"),
        variant=first.text("variant"),
        hop_s=first.number_of("hop_s"),
        stored_probabilities={(e.label, e.score): e.probability for e in events},
        stored_calibration=first.text("calibration") or None,
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


def _number(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(cast("float", value)) if known else 0.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


NOTHING = Provenance(bundle="", config="", code="", labels={}, backend="", variant="")
