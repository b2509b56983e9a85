"""One stream of a live recorder, from the microphone to the local store; everything here runs on
the pipeline's thread.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.bundle import Bundle, load_bundle
from edge.config.config import Config
from edge.detect.engines import load_models
from edge.detect.model import Classifier
from edge.detect.pipeline import detect
from edge.detect.site import check_species, site_of
from edge.detect.smoothing import smoothing_of
from edge.detect.tracker import Tracker
from edge.detect.windows import Windower
from edge.errors import BackendError, StoreError
from edge.models import default_bundle_path
from edge.provenance import Provenance, provenance_of
from edge.recorder.clips import ClipFolder, ClipWriter, RecentAudio
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.rate_limited_log import RateLimitedLog
from edge.recorder.systemd import Notifier
from edge.sources.microphone import Microphone
from edge.sources.portaudio import AudioSystem
from edge.store.effort import FATES, Effort, EffortMinute
from edge.store.store import Store
from edge.types import AudioBlock, Detection, Gap, Prediction, SignalHealth, Window
from edge.wire import effort_payload, health_payload, recorder_payload

__all__ = ["Recorder", "RecorderPlan", "make_plan", "open_microphone"]

HEALTH_EVERY_S = 60.0
POLL_EVERY_S = 1.0
UNSTORED = 512  # detections that wait in memory while the disk fails
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecorderPlan:
    """A configuration that has proved itself: its bundles gave the right answers on their golden
    windows; `bundle` is the first.
    """

    config: Config
    device: str
    bundle: Bundle
    model: Classifier
    provenance: Provenance


def make_plan(config: Config) -> RecorderPlan:
    """Load and test what `config` names; raises `ConfigError` or `BundleError`, and changes
    nothing.
    """
    bundles = [
        load_bundle(path)
        for path in config.model.bundles or (config.model.bundle or default_bundle_path(),)
    ]
    bundle = bundles[0]
    _windower(bundle, config.model.hop_s)  # so that a hop that cannot be is told now
    model = load_models(
        bundles,
        backend=config.model.backend,
        folder=config.model.engines,
        limits=config.health,
    )
    check_species(config.site.species, model.labels, key="site.species")
    provenance = provenance_of(model, **config.epoch)
    return RecorderPlan(
        config=config, device=config.device_id(), bundle=bundle, model=model, provenance=provenance
    )


def open_microphone(
    plan: RecorderPlan,
    *,
    audio: AudioSystem,
    on_gap: Callable[[Gap], None],
    on_position: Callable[[int, float], None],
    on_fault: Callable[[], None],
) -> Microphone:
    """The microphone of the configuration; it is opened when its blocks are asked for."""
    rate_hz = plan.bundle.frontend.sample_rate_hz
    return Microphone(
        plan.config.audio,
        sample_rate_hz=rate_hz,
        audio=audio,
        on_gap=on_gap,
        on_position=on_position,
        on_fault=on_fault,
    )


class Recorder:
    """Hears one stream to its end and keeps what it finds. Is the pipeline's meter."""

    def __init__(
        self,
        plan: RecorderPlan,
        *,
        audio: AudioSystem,
        store: Store,
        clock: LiveClock,
        notifier: Notifier,
        metrics: Metrics,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._metrics = metrics
        self._monotonic_s = monotonic_s
        self._limited = RateLimitedLog(log, monotonic_s=monotonic_s)
        self.microphone = open_microphone(
            plan,
            audio=audio,
            on_gap=self._gap,
            on_position=clock.heard,
            on_fault=metrics.capture_fault,
        )
        self.effort = Effort(sample_rate_hz=plan.bundle.frontend.sample_rate_hz)
        self.clips = self._clip_writer()
        self._unstored: deque[tuple[Detection, str | None]] = deque(maxlen=UNSTORED)
        self._minutes: deque[EffortMinute] = deque(maxlen=UNSTORED)
        self._redate_due = False
        self._polled_s = self._told_s = -float("inf")

    def stop(self) -> None:
        """Let `run` end what is open and return; any thread."""
        self.microphone.stop()

    def run(self) -> None:
        """Hear until stopped; what cannot be stored now is stored as soon as the disk takes it."""
        plan, rate_hz = self.plan, self.plan.bundle.frontend.sample_rate_hz
        self._clock.begin(rate_hz)
        self._metrics.stream_began()
        # Sample indices begin anew with each stream, so the stream's beginning is part of every
        # event's identity.
        self._stream = (
            f"{plan.device}|{self._clock.boot_id}|{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}"
        )
        identity = f"{self._stream}|{plan.provenance.identity}"
        site = site_of(plan.config.site.species, clock_at=self._clock.at)
        tracker = Tracker(
            decision=plan.model.decision,
            identity=identity,
            config=plan.config.tracker,
            site=site,
        )
        windower = _windower(plan.bundle, plan.config.model.hop_s)
        smoothing = smoothing_of(
            plan.config.smoothing, decision=plan.model.decision, sample_rate_hz=rate_hz
        )
        blocks = self.microphone.blocks()
        for event in detect(
            blocks,
            windower=windower,
            model=plan.model,
            smoothing=smoothing,
            tracker=tracker,
            meter=self,
        ):
            self._keep(event)
        self._record_effort(self.effort.flush())
        self._tell_audio()
        self._store_waiting()

    def block(self, block: AudioBlock) -> None:
        """See `Meter.block`."""
        self.effort.block(block.start_sample, block.end_sample)
        if self.clips is not None:
            self._recent.push(block)
        if len(block.samples):
            self._notifier.ready()
        now_s = self._monotonic_s()
        if now_s - self._polled_s >= POLL_EVERY_S:
            self._polled_s = now_s
            self._every_second()

    def prediction(self, prediction: Prediction) -> None:
        """See `Meter.prediction`."""
        self.effort.window(
            prediction.start_sample, prediction.end_sample, gated=prediction.health.gated
        )
        self._metrics.window(prediction)
        self._tell_health(prediction.health)
        now_s = self._monotonic_s()
        if now_s - self._told_s >= HEALTH_EVERY_S:
            self._told_s = now_s
            self._record_health(prediction)
        if not self._unstored:
            self._notifier.progress()
            heard = self._clock.at(prediction.end_sample).utc(prediction.end_sample)
            self._metrics.stored(max(0.0, (self._clock.now_utc() - heard).total_seconds()))

    def failed(self, window: Window, error: BackendError) -> None:
        """See `Meter.failed`. What no other window reaches of this one, the ledger will call
        dropped; the watchdog is not fed.
        """
        self._metrics.windows_lost(failed=1)
        self._limited.warning("model", f"a window was not judged: {error}")

    def _tell_health(self, health: SignalHealth) -> None:
        if health.dead:
            self._limited.warning(
                "dead", "the microphone is dead, nothing but silence: such windows are not judged"
            )
        else:
            self._limited.recovered("dead", "the microphone is no longer dead")
        if health.stuck:
            self._limited.warning(
                "stuck",
                (
                    "the microphone is stuck, at a constant or at full scale: such windows are not "
                    "judged"
                ),
            )
        else:
            self._limited.recovered("stuck", "the microphone is no longer stuck")

    def _gap(self, gap: Gap) -> None:
        if gap.reason == "dropped":
            self.effort.dropped(gap.start_sample, gap.end_sample)
            samples, rate_hz = (
                gap.end_sample - gap.start_sample,
                self.plan.bundle.frontend.sample_rate_hz,
            )
            self._metrics.windows_lost(
                dropped=math.ceil(samples / (self.plan.config.model.hop_s * rate_hz))
            )
            self._limited.warning(
                "late", f"inference is late: {samples / rate_hz:.1f} s of audio dropped, the oldest"
            )

    def _every_second(self) -> None:
        self._redate_due |= self._clock.poll()
        if self._redate_due:
            self._redate()
        self._metrics.clock(offset_s=self._clock.offset_s, synced=self._clock.synced)
        self._tell_audio()
        self._record_effort(self.effort.minutes())
        self._store_waiting()

    def _tell_audio(self) -> None:
        self._metrics.audio({fate: self.effort.total_s(fate) for fate in FATES})

    def _keep(self, event: Detection) -> None:
        if event.label is None and not self.plan.config.events.unknown:
            return
        # The clip first, so that the message can name it; a clip that fails is None and costs
        # nothing else.
        clip = None
        if self.clips is not None and event.state == "end":
            clip = self.clips.write(event, self._clock.at(event.start_sample))
            if clip is None:
                self._metrics.clip_refused()
            else:
                self._metrics.clip_written(self.clips.last_bytes)
        if len(self._unstored) == UNSTORED:
            self._metrics.detection_lost()
            oldest = self._unstored[0][0]
            self._limited.error(
                "lost",
                f"detection {oldest.id} {oldest.state} is lost: the store has failed for too long",
            )
        self._unstored.append((event, clip))
        self._store_waiting()

    def _store_waiting(self) -> None:
        """Oldest first; what fails stays for the next time."""
        while self._unstored:
            event, clip = self._unstored[0]
            try:
                self._store_event(event, clip)
            except StoreError as exc:
                self._metrics.store_error()
                self._limited.warning("detections", f"{exc}; {len(self._unstored)} detections wait")
                return
            self._unstored.popleft()
            self._limited.recovered("detections", "the store takes detections again")

    def _store_event(self, event: Detection, clip: str | None) -> None:
        payload = recorder_payload(
            event,
            device=self.plan.device,
            site=self.plan.config.device.site,
            boot_id=self._clock.boot_id,
            clip=clip,
            clock=self._clock.at(event.start_sample),
            provenance=self.plan.provenance,
        )
        self._store.record(payload, dating=self._clock.dating(), embedding=event.embedding)
        if event.state == "new":
            self._metrics.detection(event.label)
            log.info(
                "%s, score %.2f, novelty %.2f",
                event.label or f"unknown, like {event.nearest}",
                event.score,
                event.novelty,
            )

    def _redate(self) -> None:
        try:
            moved = self._store.redate(self._clock.dating())
        except StoreError as exc:
            self._limited.warning("dating", f"{exc}; dating anew waits")
            return
        self._redate_due = False
        log.info("the clock is synchronised; %d rows were dated anew", moved)

    def _record_effort(self, minutes: list[EffortMinute]) -> None:
        """As detections: what fails stays for the next time."""
        self._minutes.extend(minutes)
        while self._minutes:
            minute = self._minutes[0]
            clock = self._clock.at(minute.start_sample)
            payload = effort_payload(
                minute, device=self.plan.device, boot_id=self._clock.boot_id, clock=clock
            )
            try:
                self._store.record_effort(
                    minute, payload, stream=self._stream, dating=self._clock.dating()
                )
            except StoreError as exc:
                self._limited.warning(
                    "minutes", f"{exc}; {len(self._minutes)} minutes of the effort ledger wait"
                )
                return
            self._minutes.popleft()

    def _record_health(self, prediction: Prediction) -> None:
        clock = self._clock.at(prediction.end_sample)
        time_utc = clock.utc(prediction.end_sample)
        payload = health_payload(
            prediction.health,
            device=self.plan.device,
            boot_id=self._clock.boot_id,
            time=time_utc,
            clock=clock,
        )
        try:
            self._store.record_health(payload, dating=self._clock.dating())
        except StoreError as exc:
            self._limited.warning("health", f"the state of the microphone was not stored: {exc}")

    def _clip_writer(self) -> ClipWriter | None:
        chosen, plan = self.plan.config.clips, self.plan
        if not chosen.enabled:
            return None
        spec, tracker = plan.bundle.frontend, plan.config.tracker
        # An event is known to have ended after its cool-down and the two windows that smoothing and
        # absence take.
        lag_s = tracker.cooldown_s + plan.config.smoothing.slide_s + 4 * spec.window_s
        seconds = tracker.longest_s + 2 * chosen.padding_s + lag_s
        self._recent = RecentAudio(round(seconds * spec.sample_rate_hz))
        folder = ClipFolder(chosen, on_removed=self._metrics.clips_removed)
        return ClipWriter(
            chosen,
            folder=folder,
            audio=self._recent,
            provenance=plan.provenance,
            device=plan.device,
        )


def _windower(bundle: Bundle, hop_s: float) -> Windower:
    spec = bundle.frontend
    hop_samples = round(hop_s * spec.sample_rate_hz)
    return Windower(
        window_samples=spec.window_samples,
        hop_samples=hop_samples,
        sample_rate_hz=spec.sample_rate_hz,
    )
