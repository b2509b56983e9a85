"""A sound system and a clock that tests command: the fakes of the microphone's contract. No thread,
no sleeping.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import takewhile

import numpy as np

from edge.backoff import Backoff
from edge.errors import AudioError
from edge.sources.callbacks import Callbacks, CardAudio
from edge.sources.device import Device, Format
from edge.sources.microphone import AudioConfig, Microphone
from edge.sources.portaudio import Receive
from edge.types import Array, AudioBlock, Gap

__all__ = ["FakeAudio", "FakeTimer", "listening"]


class FakeTimer:
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.passing: list[Callable[[float], None]] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now_s += seconds
        for tell in self.passing:
            tell(self.now_s)
        return stop.is_set()


class FakeAudio:
    """A device that plays `samples` in real time. `at` sets what happens when: (seconds since the
    start, what to do).

    present: plugged in. dead: no callbacks. deaf: callbacks stop and their audio is lost. late:
    callbacks stop and come later.
    """

    def __init__(
        self, timer: FakeTimer, samples: Array, *, rate_hz: int, channels: int = 1, chunk: int = 400
    ) -> None:
        self.timer, self.rate_hz, self.chunk = timer, rate_hz, chunk
        self.sound = samples if samples.ndim == 2 else np.repeat(samples[:, None], channels, axis=1)
        self.present, self.dead, self.deaf, self.late, self.overflow = (
            True,
            False,
            False,
            False,
            False,
        )
        self.refused: list[Format] = []
        self.opened: list[Format] = []
        self.names = ["Field Microphone: USB Audio (hw:1,0)"]
        self.at: list[tuple[float, Callable[[], None]]] = []
        self.at_end: Callable[[], None] = lambda: None
        self._receive: Receive | None = None
        self._start_s: float | None = None
        self._done = 0
        timer.passing.append(self._pass)

    def devices(self) -> list[Device]:
        if not self.present:
            return []
        channels = self.sound.shape[1]
        return [
            Device(name=name, card="", channels=channels, sample_rate_hz=self.rate_hz, index=i)
            for i, name in enumerate(self.names)
        ]

    def open(self, device: Device, form: Format, receive: Receive) -> FakeStream:
        if (
            form in self.refused
            or form.sample_rate_hz != self.rate_hz
            or form.channels > self.sound.shape[1]
        ):
            raise AudioError(f"{device.stable_name}: cannot be opened (Invalid sample rate)")
        if self._start_s is None or self._done >= len(self.sound):
            self._start_s, self._done = self.timer.now_s, 0
        self._done = self._due()
        self.opened.append(form)
        self._receive = receive
        return FakeStream(self)

    def closed(self) -> None:
        self._receive = None

    def alive(self) -> bool:
        return self._receive is not None and self.present and not self.dead

    def _due(self) -> int:
        assert self._start_s is not None
        return min(len(self.sound), round((self.timer.now_s - self._start_s) * self.rate_hz))

    def _pass(self, now_s: float) -> None:
        if self._start_s is None:
            self._start_s = now_s
        for _, happen in (
            happened := list(takewhile(lambda event: now_s - self._begin() >= event[0], self.at))
        ):
            happen()
        del self.at[: len(happened)]
        if self._done >= len(self.sound):
            self.at_end()
        if self.late:
            return
        due = self._due()
        while self._done < due and (due - self._done >= self.chunk or due == len(self.sound)):
            part = self.sound[self._done : min(self._done + self.chunk, due)]
            self._done += len(part)
            if self._receive is not None and self.alive() and not self.deaf:
                channels = self.opened[-1].channels
                self._receive(
                    np.ascontiguousarray(part[:, :channels]).tobytes(), now_s, self.overflow
                )
                self.overflow = False

    def _begin(self) -> float:
        assert self._start_s is not None
        return self._start_s


class FakeStream:
    def __init__(self, audio: FakeAudio) -> None:
        self._audio = audio

    def active(self) -> bool:
        return self._audio.alive()

    def close(self) -> None:
        self._audio.closed()


class Listening:
    """A microphone on a fake device, and what came of it."""

    def __init__(
        self,
        samples: Array,
        *,
        rate_hz: int,
        out_hz: int,
        channels: int = 1,
        config: AudioConfig,
    ) -> None:
        self.timer = FakeTimer()
        self.audio = FakeAudio(self.timer, samples, rate_hz=rate_hz, channels=channels)
        self.gaps: list[Gap] = []
        self.positions: list[tuple[int, float]] = []
        self.card: list[CardAudio] = []
        self.invalid: list[int] = []
        self.source = Microphone(
            config,
            sample_rate_hz=out_hz,
            audio=self.audio,
            timer=self.timer,
            backoff=Backoff(chance=lambda: 0.0),
            callbacks=Callbacks(
                on_gap=self.gaps.append,
                on_position=lambda sample, at_s: self.positions.append((sample, at_s)),
                on_card=self.card.append,
                on_invalid=self.invalid.append,
            ),
        )
        self.audio.at_end = self.source.stop

    def blocks(self) -> Iterator[AudioBlock]:
        return self.source.blocks()


def listening(
    samples: Array,
    *,
    rate_hz: int = 8000,
    out_hz: int = 8000,
    channels: int = 1,
    config: AudioConfig | None = None,
) -> Listening:
    """A microphone that hears `samples` once and then stops."""
    return Listening(
        samples,
        rate_hz=rate_hz,
        out_hz=out_hz,
        channels=channels,
        config=config or AudioConfig(),
    )
