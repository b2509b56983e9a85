"""What the whole recorder costs on this machine: `make bench` runs it after `edge bench`.

It is a benchmark, not a test of time.

latency     from the end of the window that settled an event to the broker's acknowledgement; in
            real time, with a real mosquitto
idle        CPU of one core without the model: capture at 48 kHz, resampling, ring, windows,
            ledger, store, sink
soak        resident memory over many windows, as fast as they are judged; the slope of a straight
            line through it

The sound card is a clock that hands over computed sound; everything after PortAudio's callback is
what runs on a recorder.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from edge.bench.sound import synthesise
from edge.config.config import load_config
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.systemd import Notifier
from edge.sources.device import Device, Format
from edge.sources.portaudio import CALLBACK_S, Receive
from edge.store.store import Store
from edge.types import Array, Prediction
from tests.support.broker import MOSQUITTO, Broker, unexpected

RATE_HZ = 48_000
CHUNK = round(CALLBACK_S * RATE_HZ)
PARTS = ("latency", "idle", "soak")
REMEMBERED = 5_000  # events; so that the soak measures the recorder and not its watcher
AHEAD_S = 10.0  # of audio that a soak hands over before it waits for the model


class SteadyAudio:
    """A sound card that hands over `sound` for ever.

    It does so in real time or, given `lag_s`, as fast as that stays below `AHEAD_S`.
    """

    def __init__(self, sound: Array, *, lag_s: Callable[[], float] | None = None) -> None:
        self.sound, self.lag_s = sound, lag_s
        self.began_s = 0.0

    def devices(self) -> list[Device]:
        return [Device(name="Steady", card="", channels=1, sample_rate_hz=RATE_HZ, index=0)]

    def open(self, device: Device, form: Format, receive: Receive) -> SteadyStream:
        return SteadyStream(self, receive)


class SteadyStream:
    def __init__(self, audio: SteadyAudio, receive: Receive) -> None:
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._play, args=(audio, receive), daemon=True)
        self._thread.start()

    def active(self) -> bool:
        return not self._closed.is_set()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _play(self, audio: SteadyAudio, receive: Receive) -> None:
        pieces = [piece.tobytes() for piece in np.split(audio.sound, len(audio.sound) // CHUNK)]
        audio.began_s, count = time.monotonic(), 0
        while not self._closed.is_set():
            due_s = audio.began_s + (count + 1) * CALLBACK_S
            if audio.lag_s is None:
                self._closed.wait(max(0.0, due_s - time.monotonic()))
            elif audio.lag_s() > AHEAD_S:
                self._closed.wait(0.005)
                continue
            receive(pieces[count % len(pieces)], due_s, False)
            count += 1


class WatchedStore(Store):
    """Remembers where in the stream each new or updated event ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends_s: deque[float | None] = deque(maxlen=REMEMBERED)

    def record(self, payload: Any, **kwargs: Any) -> bool:
        self.ends_s.append(payload["end_s"] if payload["state"] != "end" else None)
        return super().record(payload, **kwargs)


class WatchedMetrics(Metrics):
    """Counts windows, and remembers when each detection was acknowledged, in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.acknowledged_s: deque[float] = deque(maxlen=REMEMBERED)
        self.sent = 0
        self.windows = 0

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        super().mqtt_acknowledged(kind, delay_s)
        if kind == "detection":
            self.acknowledged_s.append(time.monotonic())
            self.sent += 1

    def window(self, *args: Any, **kwargs: Any) -> None:
        super().window(*args, **kwargs)
        self.windows += 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A recorder at work, and what watches it."""

    audio: SteadyAudio
    store: WatchedStore
    metrics: WatchedMetrics


class Silent:
    """A model that costs nothing and finds nothing."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._prediction: Prediction | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, window: Any) -> Prediction:
        self._prediction = self._prediction or self._model.predict(window)
        return dataclasses.replace(
            self._prediction,
            start_sample=window.start_sample,
            end_sample=window.end_sample,
            label=None,
            novelty=1.0,
        )


@contextmanager
def recorder_at_work(plan: RecorderPlan, *, fast: bool) -> Iterator[Running]:
    """Capture to broker, each on its thread, as `edge run` has them."""
    recorder: Recorder | None = None
    sound = synthesise(10.0, RATE_HZ)
    audio = SteadyAudio(
        sound, lag_s=(lambda: recorder.microphone.backlog_s if recorder else 0.0) if fast else None
    )
    metrics = WatchedMetrics(CollectorRegistry(), labels=plan.model.decision.labels)
    store = WatchedStore(
        Path(plan.config.store.path), outbox_bytes=64 * 10**6, history_bytes=64 * 10**6
    )
    with store:
        clock = LiveClock()
        recorder = Recorder(
            plan,
            audio=audio,
            store=store,
            clock=clock,
            notifier=Notifier(environ={}),
            metrics=metrics,
        )
        sinks = deliveries(plan, store, clock, metrics, unexpected)
        pipeline = threading.Thread(target=recorder.run)
        for sink in sinks:
            sink.start()
        pipeline.start()
        try:
            yield Running(audio=audio, store=store, metrics=metrics)
        finally:
            recorder.stop()
            pipeline.join(30)
            for sink in sinks:
                sink.stop()


def plan_for(folder: Path, port: int, *, update_s: float = 1.0) -> RecorderPlan:
    """The default model at 1 s hop, an update of each event every `update_s`, and this broker."""
    folder.mkdir()
    content = {
        "device": {"id": "bench"},
        "tracker": {"update_s": update_s},
        "store": {"path": str(folder / "edge.db")},
        "clips": {"folder": str(folder / "clips"), "reserve_mb": 1.0, "budget_mb": 64.0},
        "mqtt": {"host": "127.0.0.1", "port": port, "wait_for_sync_s": 0.0, "rate_per_s": 1000.0},
    }
    (folder / "edge.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return make_plan(load_config(folder / "edge.yaml"))


def latency(folder: Path, port: int, minutes: float) -> Iterator[str]:
    plan = plan_for(folder, port)
    hop_s = plan.config.model.hop_s
    with recorder_at_work(plan, fast=False) as running:
        time.sleep(60 * minutes)
        acknowledged = list(running.metrics.acknowledged_s)
    # The tracker smooths over neighbours: an event is settled by the window after its last one.
    settled = [
        None if end_s is None else running.audio.began_s + end_s + hop_s
        for end_s in running.store.ends_s
    ]
    late_ms = [
        1000 * (at - end) for at, end in zip(acknowledged, settled, strict=False) if end is not None
    ]
    p50, p99 = np.percentile(late_ms, [50, 99])
    judged = judging_ms(plan)
    yield (
        f"latency     end of window to PUBACK: median {p50:.0f} ms, p99 {p99:.0f} ms over "
        f"{len(late_ms)} messages; of which judging"
        f" {judged:.0f} ms: p99 {p99 - judged:.0f} ms beyond it"
    )


def judging_ms(plan: RecorderPlan) -> float:
    """Return the wall time of one window through front end, network and head.

    It is the median of 20, with nothing else running.
    """
    from edge.types import Window

    spec = plan.bundle.frontend
    samples = synthesise(spec.window_s, spec.sample_rate_hz)
    window = Window(
        start_sample=0, end_sample=len(samples), samples=samples, sample_rate_hz=spec.sample_rate_hz
    )

    def once() -> float:
        began_s = time.perf_counter()
        plan.model.predict(window)
        return 1000 * (time.perf_counter() - began_s)

    return statistics.median(once() for _ in range(20))


def idle(folder: Path, port: int, minutes: float) -> Iterator[str]:
    plan = plan_for(folder, port)
    plan = dataclasses.replace(plan, model=Silent(plan.model))  # stands in for a Model
    with recorder_at_work(plan, fast=False) as running:
        time.sleep(5)
        cpu_s, began_s = time.process_time(), time.monotonic()
        time.sleep(60 * minutes)
        share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
        windows = running.metrics.windows
    hop_s = plan.config.model.hop_s
    yield (
        f"idle        {100 * share:.1f} % of one core without the model, at 48 kHz and "
        f"{hop_s:g} "
        f"s hop ({windows} windows)"
    )


def soak(folder: Path, port: int, windows: int) -> Iterator[str]:
    plan = plan_for(folder, port, update_s=10.0)
    counts: list[int] = []
    memory_mb: list[float] = []
    with recorder_at_work(plan, fast=True) as running:
        while (count := running.metrics.windows) < windows:
            if not counts or count // 5000 > counts[-1] // 5000:
                print(
                    f"soak: {count} of {windows} windows, {resident_mb():.0f} MB",
                    file=sys.stderr,
                    flush=True,
                )
            counts.append(count)
            memory_mb.append(resident_mb())
            time.sleep(0.5)
        sent = running.metrics.sent
    # the first fifth fills caches and the clips' ring
    settled = [i for i, count in enumerate(counts) if count > windows / 5]
    slope, error = trend(np.array(counts)[settled] / 1e4, np.array(memory_mb)[settled])
    yield (
        f"soak        {windows} windows, {sent} messages acknowledged; {max(memory_mb):.0f} MB "
        "resident at most;"
        f" slope {slope:+.2f} ± {error:.2f} MB per 10,000 windows"
    )
    step = max(1, len(counts) // 20)
    yield (
        "            "
        + ", ".join(f"{memory:.0f}" for memory in memory_mb[::step])
        + " MB on the way"
    )


def trend(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of a straight line through the points, and its standard error.

    They come from the means of 16 stretches: what is read each half second wanders slowly, so
    single readings would pass for far more evidence than they are.
    """
    means = np.array(
        [
            (part_x.mean(), part_y.mean())
            for part_x, part_y in zip(*map(stretches, (x, y)), strict=True)
        ]
    )
    (slope, _), covariance = np.polyfit(means[:, 0], means[:, 1], 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


def stretches(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return np.array_split(values, 16)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--minutes", type=float, default=3.0, help="of real time for latency, and for idle"
    )
    parser.add_argument("--windows", type=int, default=50_000, help="of the soak")
    options = parser.parse_args()
    if not Path(MOSQUITTO).exists():
        sys.exit("error: no mosquitto on this machine; install the package mosquitto")
    # each in a process of its own, or one's memory would be counted as the other's
    if len(options.parts) > 1:
        for part in options.parts:
            settings = ["--minutes", str(options.minutes), "--windows", str(options.windows)]
            subprocess.run(
                [sys.executable, "-m", "tests.support.bench_daemon", part, *settings], check=True
            )
        return
    logging.disable(logging.WARNING)
    with (
        tempfile.TemporaryDirectory(prefix="edge-bench-") as name,
        Broker(Path(name, "broker")) as broker,
    ):
        folder, (part,) = Path(name, "recorder"), options.parts
        measures = {
            "latency": lambda: latency(folder, broker.port, options.minutes),
            "idle": lambda: idle(folder, broker.port, options.minutes),
            "soak": lambda: soak(folder, broker.port, options.windows),
        }
        for line in measures[part]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
