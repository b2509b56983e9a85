"""Stores what was found; what the disk refuses now waits in memory, within a bound."""

from __future__ import annotations

import logging

from edge.errors import StoreError
from edge.rate_limited_log import RateLimitedLog
from edge.recorder.backlog import Backlog, WaitingDetection
from edge.recorder.clips import ClipWriter
from edge.recorder.ledger_keeper import LedgerKeeper
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.store.effort import Effort
from edge.store.store import Store
from edge.types import Detection, Prediction, Score
from edge.wire import health_payload, recorder_payload

__all__ = ["Keeper"]

log = logging.getLogger(__name__)


class Keeper:
    """Stores detections and health of one stream, and its effort by `ledger`.

    Used by the pipeline's thread.
    """

    def __init__(
        self,
        plan: RecorderPlan,
        *,
        store: Store,
        clock: LiveClock,
        clips: ClipWriter | None,
        effort: Effort,
        metrics: Metrics,
        rate_limited: RateLimitedLog,
        backlog: Backlog,
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._clips = clips
        self._effort = effort
        self._metrics = metrics
        self._rate_limited = rate_limited
        self.backlog = backlog
        self.ledger = LedgerKeeper(
            plan.device,
            store=store,
            clock=clock,
            metrics=metrics,
            rate_limited=rate_limited,
            backlog=backlog,
        )
        self.redate_due = False

    @property
    def has_room(self) -> bool:
        """Whether what is found now is kept, on the disk or in memory."""
        return self.backlog.room > 0

    def _is_wanted(self, event: Detection) -> bool:
        wanted = self._plan.config.events
        named = self._plan.provenance.named(event.label)
        return wanted.unknown if named is None else named.kind in wanted.kinds

    def keep(self, event: Detection) -> None:
        """Store an event, with its sound once it has ended."""
        if not self._is_wanted(event):
            return
        clip = self._clip_of(event)  # first, so that the message can name it
        waiting = WaitingDetection(
            event=event,
            clip=clip if isinstance(clip, str) else None,
            withheld=clip if isinstance(clip, Score) else None,
            clock=self._clock.at(event.start_sample),
            dating=self._clock.dating(),
            plan=self._plan,
        )
        lost = self.backlog.add(waiting)
        if lost is not None:
            self._metrics.detection_lost()
            what = f"detection {lost.event.id} {lost.event.state}"
            text = f"{what} is lost: the store has failed for too long"
            self._rate_limited.error("lost", text)
        self.store_waiting()

    def event_left_out(self, label: str) -> None:
        """Count an event that is below the wanted precision."""
        self._metrics.event_left_out()
        self._effort.event_left_out()

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
        waiting = self.backlog.detections
        while waiting:
            try:
                self._store_detection(waiting[0])
            except StoreError as exc:
                self._metrics.store_error()
                self.backlog.refused()
                text = f"{exc}; {len(waiting)} detections wait in memory, and there is room for"
                self._rate_limited.warning("detections", f"{text} {self.backlog.room} more")
                return
            waiting.popleft()
            self._rate_limited.recovered("detections", "the store takes detections again")
        self.ledger.store_waiting()

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

    def _clip_of(self, event: Detection) -> str | Score | None:
        """Write the sound of an event that has ended; see `ClipWriter.write`."""
        if self._clips is None or event.state != "end":
            return None
        clip = self._clips.write(event, self._clock.at(event.start_sample))
        match clip:
            case None:
                self._metrics.clip_refused()
            case Score():
                self._metrics.clip_withheld()
                self._effort.clip_withheld()
                log.info("a clip is withheld: %s, score %.2f", clip.label, clip.score)
            case _:
                self._metrics.clip_written(self._clips.last_bytes)
        return clip

    def _store_detection(self, waiting: WaitingDetection) -> None:
        event, plan = waiting.event, waiting.plan
        clock, dating = self._clock.corrected(waiting.clock, waiting.dating)
        payload = recorder_payload(
            event,
            device=plan.device,
            site=plan.config.device.site,
            boot_id=self._clock.boot_id,
            clip=waiting.clip,
            withheld=waiting.withheld,
            clock=clock,
            provenance=plan.provenance,
        )
        self._store.record(payload, dating=dating, embedding=event.embedding, network=plan.network)
        if event.state == "new":
            self._metrics.detection(event.label)
            name = event.label or f"unknown, like {event.nearest}"
            log.info("%s, score %.2f, novelty %.2f", name, event.score, event.novelty)
