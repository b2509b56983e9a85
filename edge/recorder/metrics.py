"""Every Prometheus metric of a recorder, in one class: prefix `edge_`, base units, labels only from
finite sets.

Threads: any thread may call any method; the numbers that belong to others (outbox, memory, queue)
are read when Prometheus asks, on the server's thread. A counter whose truth is kept elsewhere is
only ever set forward.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.errors import ConfigError, StoreError
from edge.mqtt.session import ERROR_REASONS
from edge.recorder.clips import ClipWriter
from edge.store.effort import FATES, Fate
from edge.store.outbox import MESSAGE_KINDS
from edge.store.store import Store
from edge.types import Prediction

__all__ = ["Metrics", "MetricsServer"]

STAGE_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
DELIVERY_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 60.0, 3600.0, 86_400.0)
DIGESTS = ("bundle", "config", "code", "version", "device")


class Metrics:
    """The numbers of one recorder in `registry`; `labels` are the species of the bundle, all that a
    detection can be called.
    """

    def __init__(self, registry: CollectorRegistry, *, labels: Sequence[str]) -> None:
        r = registry
        self.registry = registry
        self._info = Info("edge", "Digests of what this recorder runs.", registry=r)
        self._engine = Info(
            "edge_engine", "What runs the network, and which of the bundle's networks.", registry=r
        )
        self._fallbacks = Gauge(
            "edge_engine_fallbacks",
            "Better engines that failed at start and were passed over.",
            registry=r,
        )
        self._audio = Counter(
            "edge_audio_seconds",
            "Audio by what became of it; adds up to elapsed time.",
            ["fate"],
            registry=r,
        )
        self._windows = Counter("edge_windows", "Windows by outcome.", ["outcome"], registry=r)
        self._detections = Counter(
            "edge_detections", "Events by species, or unknown.", ["label"], registry=r
        )
        self._lost = Counter(
            "edge_detections_lost",
            "Detections given up while the store failed for too long.",
            registry=r,
        )
        self._infer = Histogram(
            "edge_inference_seconds", "Network, per window.", buckets=STAGE_S, registry=r
        )
        self._frontend = Histogram(
            "edge_frontend_seconds", "Features, per window.", buckets=STAGE_S, registry=r
        )
        self._store = Histogram(
            "edge_capture_to_store_seconds",
            "End of a window to the store.",
            buckets=STAGE_S,
            registry=r,
        )
        self._puback = Histogram(
            "edge_store_to_puback_seconds",
            "Store to acknowledgement.",
            buckets=DELIVERY_S,
            registry=r,
        )
        self._rms = Gauge(
            "edge_microphone_rms_dbfs", "RMS of the last window, dB re full scale.", registry=r
        )
        self._peak = Gauge(
            "edge_microphone_peak_dbfs", "Peak of the last window, dB re full scale.", registry=r
        )
        self._clip = Gauge(
            "edge_microphone_clip_ratio", "Share of clipped samples in the last window.", registry=r
        )
        self._dc = Gauge(
            "edge_microphone_dc_ratio", "Offset of the last window, in full scales.", registry=r
        )
        self._fault = Gauge(
            "edge_microphone_fault",
            "1 while the microphone is dead or stuck.",
            ["fault"],
            registry=r,
        )
        self._capture = Counter(
            "edge_capture_faults",
            "Times that the microphone could not be opened or went away.",
            registry=r,
        )
        self._mqtt = Gauge("edge_mqtt_connected", "1 while connected to the broker.", registry=r)
        self._mqtt_errors = Counter(
            "edge_mqtt_errors", "Trouble with the broker by reason.", ["reason"], registry=r
        )
        self._sent = Counter(
            "edge_messages_sent", "Messages that the broker has acknowledged.", ["kind"], registry=r
        )
        self._clips = Counter(
            "edge_clips", "Clips by what became of them.", ["outcome"], registry=r
        )
        self._clip_bytes = Counter("edge_clip_bytes", "Bytes of clips written.", registry=r)
        self._clock = Gauge(
            "edge_clock_offset_seconds", "Wall clock minus the recorder's own time.", registry=r
        )
        self._synced = Gauge(
            "edge_clock_synced", "1 once a time service vouches for the clock.", registry=r
        )
        self._quarantined = Counter(
            "edge_store_quarantined", "Damaged stores set aside.", registry=r
        )
        self._store_errors = Counter(
            "edge_store_errors", "Writes that the store refused.", registry=r
        )
        self._gauges = _Asked(registry)
        self._totals: dict[Fate, float] = dict.fromkeys(FATES, 0.0)
        self._lock = threading.Lock()
        self._gauges.gauge("edge_resident_memory_bytes", "Memory of this process.", _resident_bytes)
        self._show_all(labels)

    def _show_all(self, labels: Sequence[str]) -> None:
        """Have every series there from the start: a rate of something that has not happened yet is
        0, not absent.
        """
        series = {
            self._audio: FATES,
            self._windows: ("judged", "gated", "dropped", "failed"),
            self._detections: (*labels, "unknown"),
            self._fault: ("dead", "stuck"),
            self._mqtt_errors: ERROR_REASONS,
            self._sent: MESSAGE_KINDS,
            self._clips: ("written", "refused", "removed"),
        }
        for metric, values in series.items():
            for value in values:
                metric.labels(value)

    def digests(self, **values: str) -> None:
        """What runs: bundle, config, code, version, device."""
        self._info.info({key: values.get(key, "") for key in DIGESTS})

    def engine(self, *, backend: str, variant: str, passed_over: int) -> None:
        """What was chosen to run the network; `passed_over` better ones failed."""
        self._engine.info({"backend": backend, "variant": variant})
        self._fallbacks.set(passed_over)

    # From the pipeline

    def audio(self, total_s: Mapping[Fate, float]) -> None:
        """The ledger's totals of the present stream; each only grows."""
        with self._lock:
            for fate, seconds in total_s.items():
                self._audio.labels(fate).inc(max(0.0, seconds - self._totals[fate]))
                self._totals[fate] = max(seconds, self._totals[fate])

    def stream_began(self) -> None:
        """The ledger begins again at 0, after a reload."""
        with self._lock:
            self._totals = dict.fromkeys(FATES, 0.0)

    def window(self, prediction: Prediction) -> None:
        """A window was judged, or gated; a gated one took no inference."""
        health = prediction.health
        if health.gated:
            self._windows.labels("gated").inc()
        else:
            self._windows.labels("judged").inc()
            self._frontend.observe(prediction.frontend_s)
            self._infer.observe(prediction.network_s)
        self._rms.set(health.rms_dbfs)
        self._peak.set(health.peak_dbfs)
        self._clip.set(health.clip_ratio)
        self._dc.set(health.dc)
        self._fault.labels("dead").set(health.dead)
        self._fault.labels("stuck").set(health.stuck)

    def windows_lost(self, *, dropped: int = 0, failed: int = 0) -> None:
        """Windows that the model never saw because it was late, or that it failed on."""
        self._windows.labels("dropped").inc(dropped)
        self._windows.labels("failed").inc(failed)

    def detection(self, label: str | None) -> None:
        """An event has begun."""
        self._detections.labels(label if label is not None else "unknown").inc()

    def detection_lost(self) -> None:
        """A detection was given up: too many wait for the store."""
        self._lost.inc()

    def stored(self, delay_s: float) -> None:
        """What a window led to is in the store, so long after the window's end was captured."""
        self._store.observe(delay_s)

    def capture_fault(self) -> None:
        """The microphone could not be opened, or went away."""
        self._capture.inc()

    def store_error(self) -> None:
        """The store refused a write."""
        self._store_errors.inc()

    def store_quarantined(self) -> None:
        """A damaged store was set aside at the start."""
        self._quarantined.inc()

    def clock(self, *, offset_s: float, synced: bool) -> None:
        """The state of the clock, about once a second."""
        self._clock.set(offset_s)
        self._synced.set(synced)

    def clip_written(self, size_bytes: int) -> None:
        """A clip is on the disk."""
        self._clips.labels("written").inc()
        self._clip_bytes.inc(size_bytes)

    def clip_refused(self) -> None:
        """The budget, the reserve or the disk left no place for a clip."""
        self._clips.labels("refused").inc()

    def clips_removed(self, count: int) -> None:
        """Older clips made place."""
        self._clips.labels("removed").inc(count)

    # From the MQTT sink: `edge.mqtt.sink.MqttMeter`

    def mqtt_connected(self, connected: bool) -> None:
        """The connection came or went."""
        self._mqtt.set(connected)

    def mqtt_error(self, kind: str) -> None:
        """Trouble of one of the kinds."""
        self._mqtt_errors.labels(kind).inc()

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        """A message was delivered."""
        self._sent.labels(kind).inc()
        if delay_s is not None:
            self._puback.observe(delay_s)

    # Read when Prometheus asks

    def watch_store(self, store: Store, *, sink: str = "mqtt") -> None:
        """Show the outbox of `sink`: its depth, and what its bound has cost."""
        self._gauges.gauge(
            "edge_outbox_rows", "Messages that wait for the broker.", lambda: store.depth(sink)[0]
        )
        self._gauges.gauge(
            "edge_outbox_bytes", "Bytes that wait for the broker.", lambda: store.depth(sink)[1]
        )
        self._gauges.counter(
            "edge_outbox_dropped",
            "Messages dropped for want of space.",
            "kind",
            lambda: dict.fromkeys(MESSAGE_KINDS, 0) | store.dropped(sink),
        )

    def watch_history(self, store: Store) -> None:
        """Show what the history of `store` takes, and what more it may take before its oldest rows
        go.
        """
        self._gauges.gauge(
            "edge_history_bytes", "Detections and ledger kept.", lambda: store.history_size()[0]
        )
        self._gauges.gauge(
            "edge_history_room_bytes",
            "What the history may still grow by.",
            lambda: store.history_size()[1],
        )

    def watch_clips(self, clips: Callable[[], ClipWriter | None]) -> None:
        """Show what the clips take, and what more they may take before old ones go; nothing where
        none are kept.
        """
        self._gauges.gauge(
            "edge_clips_stored_bytes",
            "Clips on the disk.",
            lambda: w.stored_bytes if (w := clips()) else None,
        )
        self._gauges.gauge(
            "edge_clips_room_bytes",
            "What the clips may still grow by, of their budget and of the disk.",
            lambda: w.room_bytes() if (w := clips()) else None,
        )

    def watch_queue(self, depth_s: Callable[[], float]) -> None:
        """Show how much audio waits for the model, in seconds."""
        self._gauges.gauge(
            "edge_queue_seconds", "Captured audio that waits for the model.", depth_s
        )


class MetricsServer:
    """Answers Prometheus on `address`:`port` from a thread of its own; raises `ConfigError` when
    the port is taken.
    """

    def __init__(self, registry: CollectorRegistry, *, address: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, addr=address, registry=registry)
        except OSError as exc:
            raise ConfigError(
                f"metrics.address, metrics.port: {address}:{port}: {exc.strerror or exc}"
            ) from exc

    @property
    def port(self) -> int:
        """The port it listens on."""
        server: WSGIServer = self._server
        return int(server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Asked(Collector):
    """Numbers read from their owner at the moment they are asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._read: list[Callable[[], Metric | None]] = []
        registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], float | None]) -> None:
        """One number; None is not shown."""

        def family() -> Metric | None:
            value = read()
            return None if value is None else GaugeMetricFamily(name, text, value=value)

        self._read.append(family)

    def counter(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        def family() -> Metric:
            metric = CounterMetricFamily(name, text, labels=[label])
            for value, count in read().items():
                metric.add_metric([value], count)
            return metric

        self._read.append(family)

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering asks nobody

    def collect(self) -> Iterator[Metric]:
        for read in list(self._read):
            try:
                metric = read()
            except (StoreError, OSError):
                # a failing disk takes its own numbers away, not those that would tell of it
                continue
            if metric is not None:
                yield metric


def _resident_bytes() -> float:
    """Resident memory; 0 where there is no /proc."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
