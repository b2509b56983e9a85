"""One stream of a live recorder, from the microphone to the local store.

Everything here runs on the pipeline's thread, but for `Recorder.stop`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator

from edge.detect.pipeline import detect
from edge.detect.smoothing import smoothing_of
from edge.detect.tracker import Tracker
from edge.detect.windows import windower_of
from edge.errors import BackendError
from edge.rate_limited_log import RateLimitedLog
from edge.recorder.backlog import Backlog
from edge.recorder.clips import ClipFolder, ClipWriter
from edge.recorder.health_log import HealthLog
from edge.recorder.judged_sound import JudgedSound
from edge.recorder.keeper import Keeper
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.recorder.recent_audio import RecentAudio
from edge.recorder.status import StatusLine
from edge.recorder.systemd import Notifier
from edge.sources.callbacks import Callbacks, CardAudio
from edge.sources.microphone import Microphone
from edge.sources.portaudio import AudioSystem
from edge.store.effort import FATES, Effort, WindowFate
from edge.store.store import Store
from edge.types import AudioBlock, Detection, Gap, Outcome, Prediction, Window

__all__ = ["Recorder"]

HEALTH_EVERY_S = 60.0
POLL_EVERY_S = 1.0
EFFORT_EVERY_S = 5.0  # a kill costs so much of the ledger; 10 s are promised
log = logging.getLogger(__name__)


class Recorder:
    """Records one stream to its end and keeps what it finds. Is the pipeline's `Meter`."""

    def __init__(
        self,
        plan: RecorderPlan,
        *,
        audio: AudioSystem,
        store: Store,
        clock: LiveClock,
        notifier: Notifier,
        metrics: Metrics,
        backlog: Backlog | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self._rate_hz = plan.bundle.frontend.sample_rate_hz
        self._clock = clock
        self._site = plan.site(clock.at)
        clock.zone = plan.config.site.zone
        self._notifier = notifier
        self._metrics = metrics
        self._monotonic_s = monotonic_s
        self._rate_limited = RateLimitedLog(log, monotonic_s=monotonic_s)
        self._health_log = HealthLog(
            dead_dbfs=plan.config.health.dead_dbfs,
            metrics=metrics,
            rate_limited=self._rate_limited,
        )
        self.microphone = self._listener(audio)
        self.effort = Effort(sample_rate_hz=self._rate_hz)
        self._recent = RecentAudio(
            stream_rate_hz=self._rate_hz, capacity=plan.memory.recent_samples
        )
        self._judged = self._judged_sound()
        self.clips = self._clip_writer() if plan.config.clips.enabled else None
        self.keeper = self._keeper(store, backlog if backlog is not None else Backlog())
        self._status = StatusLine(notifier, store, zone=clock.zone)
        self._polled_s = self._health_kept_s = self._effort_noted_s = -math.inf

    def _listener(self, audio: AudioSystem) -> Microphone:
        return Microphone(
            self.plan.config.audio,
            sample_rate_hz=self._rate_hz,
            audio=audio,
            memory=self.plan.memory,
            callbacks=Callbacks(
                on_gap=self._gap,
                on_position=self._clock.captured,
                on_card=self._card,
                on_invalid=self._invalid,
                on_fault=self._metrics.capture_fault,
            ),
        )

    def stop(self) -> None:
        """Let `run` end what is open and return; any thread."""
        self.microphone.stop()

    def run(self) -> None:
        """Record until stopped; what cannot be stored now is stored when the disk takes it."""
        self._clock.begin(self._rate_hz)
        self._metrics.stream_began()
        for event in self._detections():
            self.keeper.keep(event)
        self.keeper.ledger.enter_unknown()
        self.keeper.ledger.keep(self.effort.flush())
        self._measure_audio()
        self.keeper.store_waiting()

    def _detections(self) -> Iterator[Detection]:
        plan = self.plan
        decision = plan.model.decision
        # Sample indices begin anew with each stream: its beginning is part of every identity.
        began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        stream = f"{plan.device}|{self._clock.boot_id}|{began_ns}"
        self.keeper.ledger.begin(stream)
        return detect(
            self.microphone.blocks(),
            windower=windower_of(plan.bundle.frontend, plan.config.model.hop_s),
            model=plan.model,
            smoothing=smoothing_of(
                plan.config.smoothing, decision=decision, sample_rate_hz=self._rate_hz
            ),
            tracker=Tracker(
                decision=decision,
                identity=f"{stream}|{plan.provenance.identity}",
                config=plan.config.tracker,
                site=self._site,
                precision=plan.precision(self.keeper.event_left_out),
            ),
            meter=self,
            is_private=plan.privacy.drops,
        )

    def block(self, block: AudioBlock) -> None:
        """See `Meter.block`."""
        self.effort.block(block.start_sample, block.end_sample)
        self._judged.block(block)
        if len(block.samples):
            self._notifier.ready()
        now_s = self._monotonic_s()
        if now_s - self._polled_s >= POLL_EVERY_S:
            self._polled_s = now_s
            self._every_second()

    def prediction(self, prediction: Prediction) -> None:
        """See `Meter.prediction`."""
        start, end = prediction.start_sample, prediction.end_sample
        self._judged.prediction(prediction)
        fate = self._fate(prediction)
        outcome = self._outcome(prediction) if fate == "heard" else None
        self.effort.window(start, end, fate=fate, outcome=outcome)
        self._metrics.window(prediction, fate=fate, outcome=outcome)
        self._health_log.note(prediction.health, swing=self.microphone.swing)
        now_s = self._monotonic_s()
        if now_s - self._health_kept_s >= HEALTH_EVERY_S:
            self._health_kept_s = now_s
            self.keeper.keep_health(prediction)
        if self.keeper.has_room:
            self._notifier.progress()
            captured = self._clock.at(end).utc(end)
            self._metrics.stored(max(0.0, (self._clock.now_utc() - captured).total_seconds()))

    def _fate(self, prediction: Prediction) -> WindowFate:
        if prediction.health.gated:
            return "gated"
        return "private" if self.plan.privacy.drops(prediction) else "heard"

    def _outcome(self, prediction: Prediction) -> Outcome:
        """Return what a window is at this site, before it is smoothed with its neighbours."""
        return self.plan.model.decision.outcome(self._site(prediction))

    def failed(self, window: Window, error: BackendError) -> None:
        """See `Meter.failed`.

        What no other window reaches of this one, the ledger will call dropped; the watchdog is not
        fed.
        """
        self._judged.failed(window)
        self._metrics.windows_lost(failed=1)
        self._rate_limited.warning("model", f"a window was not judged: {error}")

    def _card(self, audio: CardAudio) -> None:
        if self.clips is not None:
            self._recent.push(audio)

    def _invalid(self, samples: int) -> None:
        self._metrics.invalid_samples(samples)
        text = f"the microphone sent {samples} samples that are not numbers, or out of all bounds"
        self._rate_limited.warning("invalid", f"{text}: taken as silence; is its driver sound?")

    def _gap(self, gap: Gap) -> None:
        if gap.reason == "dropped":
            self.effort.dropped(gap.start_sample, gap.end_sample)
            samples = gap.end_sample - gap.start_sample
            hop_samples = self.plan.config.model.hop_s * self._rate_hz
            self._metrics.windows_lost(dropped=math.ceil(samples / hop_samples))
            seconds = samples / self._rate_hz
            text = f"inference is late: {seconds:.1f} s of audio dropped, the oldest"
            self._rate_limited.warning("late", text)

    def _every_second(self) -> None:
        self.keeper.redate_when_due()
        self._metrics.clock(offset_s=self._clock.offset_s, synced=self._clock.synced)
        self._measure_audio()
        self.keeper.ledger.enter_unknown()
        self.keeper.ledger.keep(self.effort.minutes())
        now_s = self._monotonic_s()
        if now_s - self._effort_noted_s >= EFFORT_EVERY_S:
            self._effort_noted_s = now_s
            self.keeper.ledger.note(self.effort.open_minute())
        self.keeper.store_waiting()
        self._status.tell()

    def _measure_audio(self) -> None:
        self._metrics.audio({fate: self.effort.total_s(fate) for fate in FATES})

    def _clip_writer(self) -> ClipWriter:
        config = self.plan.config.clips
        return ClipWriter(
            config,
            folder=ClipFolder(config, on_removed=self._metrics.clips_removed),
            audio=self._recent,
            provenance=self.plan.provenance,
            device=self.plan.device,
            position=self.plan.config.site.position,
            judged=self._judged if self.plan.privacy.on else None,
        )

    def _judged_sound(self) -> JudgedSound:
        # Sound that is older than what clips are cut from cannot be written.
        kept_samples = math.ceil(self.plan.memory.recent_s * self._rate_hz)
        return JudgedSound(self.plan.privacy, kept_samples=kept_samples)

    def _keeper(self, store: Store, backlog: Backlog) -> Keeper:
        return Keeper(
            self.plan,
            store=store,
            clock=self._clock,
            clips=self.clips,
            effort=self.effort,
            metrics=self._metrics,
            rate_limited=self._rate_limited,
            backlog=backlog,
        )
