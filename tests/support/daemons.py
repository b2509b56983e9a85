"""A whole recorder on a fake sound card, in this process."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from edge.backends.base import Backend
from edge.backends.onnx import OnnxBackend
from edge.config.config import Config
from edge.detect.model import Classifier, Model
from edge.errors import AudioError, BackendError
from edge.recorder.daemon import Daemon
from edge.recorder.live_clock import SystemWorld, WallState
from edge.recorder.plan import RecorderPlan, make_plan
from edge.sources.device import Device, Format
from edge.sources.portaudio import Receive
from edge.types import Array, Prediction, Window
from tests.support.bundles import SPEC

__all__ = [
    "HandWorld",
    "RealTimeAudio",
    "StalledBackend",
    "breakable",
    "running",
    "stallable",
    "until",
    "write_config",
]


class RealTimeAudio:
    """Plays `samples`, which may be changed, over and over in real time on a thread of its own;
    gone while `present` is False. Each channel plays them, times its own of `gains`.
    """

    def __init__(
        self,
        samples: Array,
        *,
        rate_hz: int = SPEC.sample_rate_hz,
        gains: tuple[float, ...] = (1.0,),
    ) -> None:
        self.samples, self.rate_hz, self.gains = samples, rate_hz, gains
        self.present = True
        self.opened = 0
        self.played = 0  # frames

    def devices(self) -> list[Device]:
        return (
            [
                Device(
                    name="Fake Microphone",
                    card="",
                    channels=len(self.gains),
                    sample_rate_hz=self.rate_hz,
                    index=0,
                )
            ]
            if self.present
            else []
        )

    def open(self, device: Device, form: Format, receive: Receive) -> RealTimeStream:
        if form.sample_rate_hz != self.rate_hz or form.channels != len(self.gains):
            raise AudioError("Invalid sample rate")
        self.opened += 1
        return RealTimeStream(self, receive)


class RealTimeStream:
    def __init__(self, audio: RealTimeAudio, receive: Receive) -> None:
        self._audio, self._receive = audio, receive
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def active(self) -> bool:
        return self._audio.present and not self._closed.is_set()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _play(self) -> None:
        audio, at, begin_s = self._audio, 0, time.monotonic()
        chunk = audio.rate_hz // 20
        while not self._closed.wait(
            max(0.0, begin_s + (at + chunk) / audio.rate_hz - time.monotonic())
        ):
            if audio.present:
                start = at % len(audio.samples)
                part = audio.samples[start : start + chunk]
                frames = part[:, np.newaxis] * np.array(audio.gains, np.float32)
                self._receive(frames.tobytes(), time.monotonic(), False)
                at += len(part)
                audio.played += len(part)
            else:
                at += chunk


class StalledBackend:
    """The real engine, but answers wait while `go` is cleared; `waiting` says that one does."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.go, self.waiting = threading.Event(), threading.Event()
        self.go.set()

    def infer(self, features: Array) -> tuple[Array, Array]:
        if not self.go.is_set():
            self.waiting.set()
            self.go.wait()
        return self._inner.infer(features)


def stallable(backends: list[StalledBackend]) -> Callable[[Config], RecorderPlan]:
    """Blueprints for a daemon whose engine a test can stall; each engine is added to `backends`."""

    def plan(config: Config) -> RecorderPlan:
        plan = make_plan(config)
        backends.append(StalledBackend(OnnxBackend(plan.bundle.model_path)))
        return dataclasses.replace(
            plan, model=Model(plan.bundle, backends[-1], limits=config.health)
        )

    return plan


class BreakableModel:
    """The real one, but it fails while `broken` is set."""

    def __init__(self, model: Classifier, broken: threading.Event) -> None:
        self._model, self._broken = model, broken

    def predict(self, window: Window) -> Prediction:
        if self._broken.is_set():
            raise BackendError("the network is broken")
        return self._model.predict(window)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def breakable(broken: threading.Event) -> Callable[[Config], RecorderPlan]:
    """Plans of a daemon whose model fails while `broken` is set."""

    def plan(config: Config) -> RecorderPlan:
        plan = make_plan(config)
        model = cast(Classifier, BreakableModel(plan.model, broken))
        return dataclasses.replace(plan, model=model)

    return plan


class HandWorld(SystemWorld):
    """This machine, but a test sets its wall clock, and says when a time service keeps it."""

    def __init__(self, *, synced: bool = True) -> None:
        self.shift_s = 0.0
        self.synced = synced

    def utc_us(self) -> int:
        return super().utc_us() + round(self.shift_s * 1e6)

    def wall_state(self, call: object = None) -> WallState:
        return WallState(synced=self.synced, uncertainty_s=0.01)


def write_config(folder: Path, bundle: Path, **sections: object) -> Path:
    """A configuration without network, below `folder`."""
    content: dict[str, object] = {
        "device": {"id": "pond"},
        "model": {"bundle": str(bundle), "hop_s": 0.5},
        "tracker": {"cooldown_s": 1.0, "longest_s": 60.0, "update_s": 10.0},
        "store": {"path": str(folder / "edge.db"), "ballast_mb": 1.0},
        "clips": {"folder": str(folder / "clips"), "reserve_mb": 1.0, "format": "wav"},
        "mqtt": {"enabled": False},
        "metrics": {"enabled": False},
    }
    file = folder / "edge.yaml"
    file.write_text(yaml.safe_dump({**content, **sections}), encoding="utf-8")
    return file


@contextmanager
def running(daemon: Daemon) -> Iterator[threading.Thread]:
    """The daemon on a thread; stopped at the end of the block, and whatever it raised is raised
    here.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            daemon.run()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        daemon.commands.put("stop")
        thread.join(10)
        assert not thread.is_alive()
        if raised:
            raise raised[0]


def until(condition: Callable[[], object], seconds: float = 15.0, *, every_s: float = 0.02) -> None:
    """Wait for something that another thread or process does, and ask for it no more often than its
    answer is worth.
    """
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "did not happen in time"
        time.sleep(every_s)
