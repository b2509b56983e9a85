"""Every Prometheus metric of a recorder: prefix `edge_`, base units, labels from finite sets.

Threads: any thread may call any method. A counter whose truth is kept elsewhere is only ever set
forward; what belongs to others (outbox, memory, queue) is in `asked`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from edge.detect.model import EngineChoice
from edge.mqtt.reasons import ERROR_REASONS
from edge.recorder.asked_metrics import AskedMetrics
from edge.store.effort import FATES, Fate, WindowFate
from edge.store.outbox import MESSAGE_KINDS
from edge.store.outcomes import OUTCOMES
from edge.types import Outcome, Prediction

__all__ = ["Metrics"]

STAGE_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
DELIVERY_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 60.0, 3600.0, 86_400.0)
DIGESTS = ("bundle", "config", "code", "version", "device")


class Metrics:
    """The numbers of one recorder in `registry`.

    `labels` are the species of the bundle, all that a detection can be called.
    """

    def __init__(self, registry: CollectorRegistry, *, labels: Sequence[str]) -> None:
        self.registry = registry
        self._lock = threading.Lock()
        self._totals: dict[Fate, float] = dict.fromkeys(FATES, 0.0)
        self._pipeline_metrics(registry)
        self._microphone_metrics(registry)
        self._store_metrics(registry)
        self._delivery_metrics(registry)
        self.asked = AskedMetrics(registry)
        self._show_all()
        self.show_labels(labels)

    def _pipeline_metrics(self, registry: CollectorRegistry) -> None:
        info, gauge = partial(Info, registry=registry), partial(Gauge, registry=registry)
        counter = partial(Counter, registry=registry)
        seconds = partial(Histogram, registry=registry, buckets=STAGE_S)
        self._info = info("edge", "Digests of what this recorder runs.")
        text = "What runs the network, and which of the bundle's networks."
        self._engine = info("edge_engine", text)
        text = "Better engines that failed at start and were passed over."
        self._fallbacks = gauge("edge_engine_fallbacks", text)
        text = "Audio by what became of it; adds up to elapsed time."
        self._audio = counter("edge_audio_seconds", text, ["fate"])
        self._windows = counter("edge_windows", "Windows by outcome.", ["outcome"])
        text = "Judged windows by what they are, before smoothing."
        self._outcomes = counter("edge_judged_windows", text, ["outcome"])
        self._detections = counter("edge_detections", "Events by species, or unknown.", ["label"])
        text = "Events that were left out: below the precision that is wanted."
        self._left_out = counter("edge_events_left_out", text)
        self._infer = seconds("edge_inference_seconds", "Network, per window.")
        self._frontend = seconds("edge_frontend_seconds", "Features, per window.")
        self._store = seconds("edge_capture_to_store_seconds", "End of a window to the store.")

    def _microphone_metrics(self, registry: CollectorRegistry) -> None:
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        text = "RMS of the last window, dB re full scale."
        self._rms = gauge("edge_microphone_rms_dbfs", text)
        text = "Peak of the last window, dB re full scale."
        self._peak = gauge("edge_microphone_peak_dbfs", text)
        text = "Share of clipped samples in the last window."
        self._clip = gauge("edge_microphone_clip_ratio", text)
        text = "Offset of the last window, in full scales."
        self._dc = gauge("edge_microphone_dc_ratio", text)
        text = "1 while the microphone is dead or stuck, or its channels cancel each other."
        self._fault = gauge("edge_microphone_fault", text, ["fault"])
        text = "Times that the microphone could not be opened or went away."
        self._capture = counter("edge_capture_faults", text)
        text = "Samples that were NaN or out of all bounds, and were taken as silence."
        self._invalid = counter("edge_invalid_samples", text)
        text = "Wall clock minus the recorder's own time."
        self._clock = gauge("edge_clock_offset_seconds", text)
        text = "1 once a time service vouches for the clock."
        self._synced = gauge("edge_clock_synced", text)

    def _store_metrics(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        text = "Detections given up while the store failed for too long."
        self._lost = counter("edge_detections_lost", text)
        self._clips = counter("edge_clips", "Clips by what became of them.", ["outcome"])
        self._clip_bytes = counter("edge_clip_bytes", "Bytes of clips written.")
        self._store_errors = counter("edge_store_errors", "Writes that the store refused.")

    def _delivery_metrics(self, registry: CollectorRegistry) -> None:
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        seconds = partial(Histogram, registry=registry, buckets=DELIVERY_S)
        self._mqtt = gauge("edge_mqtt_connected", "1 while connected to the broker.")
        text = "Trouble with the broker by reason."
        self._mqtt_errors = counter("edge_mqtt_errors", text, ["reason"])
        text = "Messages that the broker has acknowledged."
        self._sent = counter("edge_messages_sent", text, ["kind"])
        self._puback = seconds("edge_store_to_puback_seconds", "Store to acknowledgement.")

    def show_labels(self, labels: Sequence[str]) -> None:
        """Show the series of these species and of unknowns, also before there is an event."""
        for label in (*labels, "unknown"):
            self._detections.labels(label)

    def _show_all(self) -> None:
        """Show every series from the start: the rate of what has not happened is 0, not absent."""
        series = {
            self._audio: FATES,
            self._windows: ("judged", "gated", "private", "dropped", "failed"),
            self._outcomes: OUTCOMES,
            self._fault: ("dead", "stuck", "cancelled"),
            self._mqtt_errors: ERROR_REASONS,
            self._sent: MESSAGE_KINDS,
            self._clips: ("written", "refused", "withheld", "removed"),
        }
        for metric, values in series.items():
            for value in values:
                metric.labels(value)

    def digests(self, **values: str) -> None:
        """Show what runs: bundle, config, code, version, device."""
        self._info.info({key: values.get(key, "") for key in DIGESTS})

    def engine(self, choice: EngineChoice) -> None:
        """Show what was chosen to run the network."""
        self._engine.info({"backend": choice.backend, "variant": choice.variant})
        self._fallbacks.set(choice.passed_over)

    # From the pipeline

    def audio(self, total_s: Mapping[Fate, float]) -> None:
        """Take the ledger's totals of the present stream; each only grows."""
        with self._lock:
            for fate, seconds in total_s.items():
                self._audio.labels(fate).inc(max(0.0, seconds - self._totals[fate]))
                self._totals[fate] = max(seconds, self._totals[fate])

    def stream_began(self) -> None:
        """Note that the ledger begins again at 0, after a reload."""
        with self._lock:
            self._totals = dict.fromkeys(FATES, 0.0)

    def unknown(self, seconds: float) -> None:
        """Count time between two streams, of which nothing is known."""
        self._audio.labels("unknown").inc(seconds)

    def window(
        self, prediction: Prediction, *, fate: WindowFate, outcome: Outcome | None = None
    ) -> None:
        """Count a window that was judged, gated or private; a gated one took no inference.

        `outcome` is what a judged one is.
        """
        health = prediction.health
        if outcome is not None:
            self._outcomes.labels(outcome).inc()
        self._windows.labels("judged" if fate == "heard" else fate).inc()
        if fate != "gated":
            self._frontend.observe(prediction.frontend_s)
            self._infer.observe(prediction.network_s)
        self._rms.set(health.rms_dbfs)
        self._peak.set(health.peak_dbfs)
        self._clip.set(health.clip_ratio)
        self._dc.set(health.dc)
        self._fault.labels("dead").set(health.dead)
        self._fault.labels("stuck").set(health.stuck)

    def cancelled(self, present: bool) -> None:
        """Show whether the channels of a mix cancel each other."""
        self._fault.labels("cancelled").set(present)

    def invalid_samples(self, count: int) -> None:
        """Count samples of the microphone that no sound has."""
        self._invalid.inc(count)

    def windows_lost(self, *, dropped: int = 0, failed: int = 0) -> None:
        """Count windows that the model never saw because it was late, or that it failed on."""
        self._windows.labels("dropped").inc(dropped)
        self._windows.labels("failed").inc(failed)

    def detection(self, label: str | None) -> None:
        """Count an event that has begun."""
        self._detections.labels(label if label is not None else "unknown").inc()

    def detection_lost(self) -> None:
        """Count a detection that was given up: too many wait for the store."""
        self._lost.inc()

    def stored(self, delay_s: float) -> None:
        """Note how long after its capture the end of a window was dealt with."""
        self._store.observe(delay_s)

    def capture_fault(self) -> None:
        """Count a microphone that could not be opened, or went away."""
        self._capture.inc()

    def store_error(self) -> None:
        """Count a write that the store refused."""
        self._store_errors.inc()

    def clock(self, *, offset_s: float, synced: bool) -> None:
        """Show the state of the clock, about once a second."""
        self._clock.set(offset_s)
        self._synced.set(synced)

    def clip_written(self, size_bytes: int) -> None:
        """Count a clip that is on the disk."""
        self._clips.labels("written").inc()
        self._clip_bytes.inc(size_bytes)

    def clip_refused(self) -> None:
        """Count a clip for which budget, reserve or disk left no room."""
        self._clips.labels("refused").inc()

    def event_left_out(self) -> None:
        """Count an event below the wanted precision."""
        self._left_out.inc()

    def clip_withheld(self) -> None:
        """Count a clip that was not written because of what is private in it."""
        self._clips.labels("withheld").inc()

    def clips_removed(self, count: int) -> None:
        """Count older clips that were removed for newer ones."""
        self._clips.labels("removed").inc(count)

    # From the MQTT sink: `edge.mqtt.sink.MqttMeter`

    def mqtt_connected(self, connected: bool) -> None:
        """Show that the connection came or went."""
        self._mqtt.set(connected)

    def mqtt_error(self, reason: str) -> None:
        """Count trouble, by one of `ERROR_REASONS`."""
        self._mqtt_errors.labels(reason).inc()

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        """Count a message that was delivered."""
        self._sent.labels(kind).inc()
        if delay_s is not None:
            self._puback.observe(delay_s)
