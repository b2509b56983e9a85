"""Stores what was found; what the disk refuses now waits in memory, within a bound."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from edge.clock import Clock, rfc3339
from edge.errors import StoreError
from edge.rate_limited_log import RateLimitedLog
from edge.recorder.backlog import Backlog, WaitingDetection, WaitingMinute
from edge.recorder.clips import ClipWriter
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.store.effort import EffortMinute, unknown_minute
from edge.store.ledger import LedgerEnd, find_end, ledger_end, note_minute
from edge.store.store import Dating, Store
from edge.types import Detection, Prediction
from edge.wire import effort_payload, health_payload, recorder_payload

__all__ = ["Keeper"]

log = logging.getLogger(__name__)


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
        backlog: Backlog,
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._clips = clips
        self._metrics = metrics
        self._rate_limited = rate_limited
        self.backlog = backlog
        self._stream = ""
        # Where the ledger ended before this stream, until the time since then is entered.
        self._before: LedgerEnd | None = None
        self._before_known = False
        self.redate_due = False

    def begin(self, stream: str) -> None:
        """Note the name of the stream that is recorded from now on."""
        self._stream = stream

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
        waiting = WaitingDetection(
            event=event,
            clip=self._clip_of(event),  # first, so that the message can name it
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

    def keep_effort(self, minutes: Iterable[EffortMinute]) -> None:
        """Enter minutes into the ledger."""
        for minute in minutes:
            clock = self._clock.at(minute.start_sample)
            self._wait(minute, clock, self._stream)
            self.backlog.ledger_end = ledger_end(clock.utc(minute.end_sample), self._clock.dating())
        self._store_minutes()

    def note_effort(self, minute: EffortMinute | None) -> None:
        """Note what is known of the minute that is not over."""
        if minute is None or not self._before_known:
            return  # what was noted by the recorder before is not entered yet
        start_utc = rfc3339(self._clock.at(minute.start_sample).utc(minute.start_sample))
        dating = self._clock.dating()
        try:
            note_minute(
                self._store, minute, start_utc=start_utc, stream=self._stream, dating=dating
            )
        except StoreError as exc:
            self._rate_limited.warning("minutes", f"{exc}; the effort ledger is not up to date")

    def enter_unknown(self) -> None:
        """Enter the time since the end of the ledger as unknown, once this stream has begun."""
        if not self._before_known:
            self._find_end()
        if self._before is None:
            return
        dating = self._clock.dating()
        missing_us = self._before.until_us(self._clock.began_utc_us(), dating)
        if missing_us is None and not dating.synced:
            return  # the machine was started anew, and its clock is not set yet
        self._before = None
        clock = self._clock.at(0)
        samples = round((missing_us or 0) * clock.sample_rate_hz / 1e6)
        if samples > 0:
            minute = unknown_minute(samples, clock.sample_rate_hz)
            self._metrics.unknown(minute.seconds("unknown"))
            self._wait(minute, self._clock.at_end(samples), f"{self._stream}|before")
            self._store_minutes()

    def _find_end(self) -> None:
        """Find where the ledger ends: in memory after a reload, in the store after a start."""
        end, last = self.backlog.ledger_end, None
        if end is None:
            try:
                end, last = find_end(self._store)
            except StoreError as exc:
                self._rate_limited.warning("minutes", f"{exc}; the effort ledger waits")
                return
        self._before, self._before_known = end, True
        if last is not None:  # a killed recorder had begun it
            self._wait(last.minute, last.clock, last.stream, last.dating)

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
                self._refused("detections", f"{exc}; {len(waiting)} detections wait in memory")
                return
            waiting.popleft()
            self._rate_limited.recovered("detections", "the store takes detections again")
        self._store_minutes()

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

    def _store_detection(self, waiting: WaitingDetection) -> None:
        event, plan = waiting.event, waiting.plan
        clock, dating = self._clock.corrected(waiting.clock, waiting.dating)
        payload = recorder_payload(
            event,
            device=plan.device,
            site=plan.config.device.site,
            boot_id=self._clock.boot_id,
            clip=waiting.clip,
            clock=clock,
            provenance=plan.provenance,
        )
        self._store.record(payload, dating=dating, embedding=event.embedding)
        if event.state == "new":
            self._metrics.detection(event.label)
            name = event.label or f"unknown, like {event.nearest}"
            log.info("%s, score %.2f, novelty %.2f", name, event.score, event.novelty)

    def _wait(
        self, minute: EffortMinute, clock: Clock, stream: str, dating: Dating | None = None
    ) -> None:
        waiting = WaitingMinute(
            minute=minute,
            stream=stream,
            clock=clock,
            dating=dating or self._clock.dating(),
            device=self._plan.device,
        )
        if self.backlog.add_minute(waiting) is not None:
            text = "a minute of the effort ledger is lost: the store has failed for too long"
            self._rate_limited.error("lost minutes", text)

    def _store_minutes(self) -> None:
        minutes = self.backlog.minutes
        while minutes and self._before_known:
            waiting = minutes[0]
            clock, dating = self._clock.corrected(waiting.clock, waiting.dating)
            payload = effort_payload(
                waiting.minute, device=waiting.device, boot_id=dating.boot_id, clock=clock
            )
            try:
                self._store.record_effort(
                    waiting.minute, payload, stream=waiting.stream, dating=dating
                )
            except StoreError as exc:
                self._refused("minutes", f"{exc}; {len(minutes)} minutes of the ledger wait")
                return
            minutes.popleft()
        if not self.backlog.rows:
            self.backlog.taken()

    def _refused(self, what: str, text: str) -> None:
        self._metrics.store_error()
        self.backlog.refused()
        self._rate_limited.warning(what, f"{text}, and there is room for {self.backlog.room} more")
