"""Stores what was found; what the disk refuses now waits in memory, within a bound."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from edge.errors import StoreError
from edge.rate_limited_log import RateLimitedLog
from edge.recorder.clips import ClipWriter
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.store.effort import EffortMinute
from edge.store.store import Store
from edge.types import Detection, Prediction
from edge.wire import effort_payload, health_payload, recorder_payload

__all__ = ["WAITING", "Keeper", "Waiting"]

WAITING = 512  # detections, and minutes of effort, that wait in memory while the disk fails
log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A detection that is not stored yet, and the file of its sound, if it was kept."""

    event: Detection
    clip: str | None


class Keeper:
    """Stores detections, effort and health of one stream. Used by the pipeline's thread."""

    def __init__(
        self,
        plan: RecorderPlan,
        *,
        store: Store,
        clock: LiveClock,
        clips: ClipWriter | None,
        metrics: Metrics,
        rate_limited: RateLimitedLog,
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._clips = clips
        self._metrics = metrics
        self._rate_limited = rate_limited
        self._stream = ""
        self.detections: deque[Waiting] = deque(maxlen=WAITING)
        self.minutes: deque[EffortMinute] = deque(maxlen=WAITING)
        self.redate_due = False

    def begin(self, stream: str) -> None:
        """Note the name of the stream that is recorded from now on."""
        self._stream = stream

    def keep(self, event: Detection) -> None:
        """Store an event, with its sound once it has ended."""
        if event.label is None and not self._plan.config.events.unknown:
            return
        if len(self.detections) == WAITING:
            self._metrics.detection_lost()
            lost = self.detections[0].event
            text = f"detection {lost.id} {lost.state} is lost: the store has failed for too long"
            self._rate_limited.error("lost", text)
        # The clip first, so that the message can name it.
        self.detections.append(Waiting(event, self._clip_of(event)))
        self.store_waiting()

    def keep_effort(self, minutes: Iterable[EffortMinute]) -> None:
        """Enter minutes into the ledger."""
        self.minutes.extend(minutes)
        while self.minutes:
            try:
                self._store_minute(self.minutes[0])
            except StoreError as exc:
                text = f"{exc}; {len(self.minutes)} minutes of the effort ledger wait"
                self._rate_limited.warning("minutes", text)
                return
            self.minutes.popleft()

    def keep_health(self, prediction: Prediction) -> None:
        """Store the state of the microphone in a window."""
        clock = self._clock.at(prediction.end_sample)
        payload = health_payload(
            prediction.health,
            device=self._plan.device,
            boot_id=self._clock.boot_id,
            time=clock.utc(prediction.end_sample),
            clock=clock,
        )
        try:
            self._store.record_health(payload, dating=self._clock.dating())
        except StoreError as exc:
            text = f"the state of the microphone was not stored: {exc}"
            self._rate_limited.warning("health", text)

    def store_waiting(self) -> None:
        """Store what waits, oldest first; what fails stays for the next time."""
        while self.detections:
            try:
                self._store_detection(self.detections[0])
            except StoreError as exc:
                self._metrics.store_error()
                text = f"{exc}; {len(self.detections)} detections wait"
                self._rate_limited.warning("detections", text)
                return
            self.detections.popleft()
            self._rate_limited.recovered("detections", "the store takes detections again")

    def redate_when_due(self) -> None:
        """Correct the times of stored rows once the clock has been set."""
        self.redate_due |= self._clock.poll()
        if not self.redate_due:
            return
        try:
            moved = self._store.redate(self._clock.dating())
        except StoreError as exc:
            self._rate_limited.warning("dating", f"{exc}; dating anew waits")
            return
        self.redate_due = False
        log.info("the clock is synchronised; %d rows were dated anew", moved)

    def _clip_of(self, event: Detection) -> str | None:
        """Write the sound of an event that has ended; None where it is not kept."""
        if self._clips is None or event.state != "end":
            return None
        clip = self._clips.write(event, self._clock.at(event.start_sample))
        if clip is None:
            self._metrics.clip_refused()
        else:
            self._metrics.clip_written(self._clips.last_bytes)
        return clip

    def _store_detection(self, waiting: Waiting) -> None:
        event = waiting.event
        payload = recorder_payload(
            event,
            device=self._plan.device,
            site=self._plan.config.device.site,
            boot_id=self._clock.boot_id,
            clip=waiting.clip,
            clock=self._clock.at(event.start_sample),
            provenance=self._plan.provenance,
        )
        self._store.record(payload, dating=self._clock.dating(), embedding=event.embedding)
        if event.state == "new":
            self._metrics.detection(event.label)
            name = event.label or f"unknown, like {event.nearest}"
            log.info("%s, score %.2f, novelty %.2f", name, event.score, event.novelty)

    def _store_minute(self, minute: EffortMinute) -> None:
        clock = self._clock.at(minute.start_sample)
        payload = effort_payload(
            minute, device=self._plan.device, boot_id=self._clock.boot_id, clock=clock
        )
        dating = self._clock.dating()
        self._store.record_effort(minute, payload, stream=self._stream, dating=dating)
