"""A microphone that may be absent, unplugged or stalled: retried for ever, and every sample it did
not bring is a gap.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import soxr
from pydantic import Field

from edge.backoff import Backoff
from edge.errors import AudioError
from edge.section import Section
from edge.sources.arrivals import Arrivals, Piece
from edge.sources.portaudio import CALLBACK_S, AudioSystem, Device, Format, Stream, choose
from edge.sources.ring import FrameRing
from edge.types import Array, AudioBlock, Gap

__all__ = ["AudioConfig", "Microphone", "SystemTimer", "Timer"]

POLL_S = 0.02
STALL_S = 2.0  # without a callback
TELL_S = 1.0  # between blocks that say that nothing is heard
# a device that offers more is a plug-in of ALSA that invents as many as one likes
MIXED_CHANNELS = 8
log = logging.getLogger(__name__)


class Timer(Protocol):
    """Monotonic time, and waiting in it."""

    def monotonic_s(self) -> float:
        """Seconds by the clock that stamps the callbacks."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait that long, or until `stop` is set; whether it is."""
        ...


class SystemTimer:
    """The machine's."""

    def monotonic_s(self) -> float:
        """See `Timer.monotonic_s`."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """See `Timer.wait`."""
        return stop.wait(seconds)


class AudioConfig(Section):
    """Which input: `device` as in `choose`; `channel` counts from 1, or the mean of all. `rate_hz`
    None is the device's own.

    `buffer_s` of audio wait in memory while inference is late; then the oldest are dropped.
    """

    device: Annotated[str, Field(min_length=1)] | None = None
    channel: Annotated[int, Field(ge=1, le=64)] | Literal["mix"] = "mix"
    rate_hz: Annotated[int, Field(ge=8_000, le=384_000)] | None = None
    buffer_s: Annotated[float, Field(ge=10, le=3600)] = 120.0


@dataclass(kw_only=True)
class _Capture:
    """An open stream and what judges it."""

    stream: Stream
    ring: FrameRing
    arrivals: Arrivals
    rate_hz: int


class Microphone:
    """Live audio at `sample_rate_hz`, for as long as nobody calls `stop`. A `Source`.

    `blocks` runs on one thread, and calls `on_gap` there before the block that follows the gap;
    `stop` may be called from any thread or signal handler. `on_position` is told when samples were
    heard, for the clock. `problem` is why nothing is heard, None when all is well; `backlog_s` of
    audio wait to be read.
    """

    def __init__(
        self,
        config: AudioConfig,
        *,
        sample_rate_hz: int,
        audio: AudioSystem,
        timer: Timer | None = None,
        backoff: Backoff | None = None,
        on_gap: Callable[[Gap], None] = lambda gap: None,
        on_position: Callable[[int, float], None] = lambda sample, monotonic_s: None,
        on_fault: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._rate_hz = sample_rate_hz
        self._audio = audio
        self._timer = timer or SystemTimer()
        self._backoff = backoff or Backoff()
        self._on_gap = on_gap
        self._on_position = on_position
        self._on_fault = on_fault
        self._stop = threading.Event()
        self._fault = ""
        self.problem: str | None = "not yet heard"
        self.backlog_s = 0.0

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples given out."""
        return self._rate_hz

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self._stop.set()

    def blocks(self) -> Iterator[AudioBlock]:
        """See `Source.blocks`; each call listens anew, from sample 0."""
        self._next = 0
        self._next_s = self._timer.monotonic_s()
        self._resampler: soxr.ResampleStream | None = None
        try:
            while not self._stop.is_set():
                capture = self._open()
                if capture is not None:
                    try:
                        yield from self._listen(capture)
                    finally:
                        capture.stream.close()
                # Also after a stream that broke: a device may open well and then send nothing, over
                # and over.
                yield from self._absent(self._backoff.next_s())
            yield self._block(self._drain(), last=True)
        finally:
            self._stop.clear()

    def _open(self) -> _Capture | None:
        """Try each format that may do; None, and the reason in `problem`, when none did."""
        faults: list[str] = []
        try:
            device = choose(self._audio.devices(), self._config.device)
            for form in formats(device, self._config):
                capacity = max(1, round(self._config.buffer_s * form.sample_rate_hz))
                slots = round(2 * self._config.buffer_s / CALLBACK_S) + 16
                ring = FrameRing(capacity_frames=capacity, channels=form.channels, slots=slots)
                try:
                    stream = self._audio.open(device, form, ring.write)
                except AudioError as exc:
                    faults.append(str(exc))
                    continue
                log.info(
                    "listening to %s: %d Hz, %d channels",
                    device.stable_name,
                    form.sample_rate_hz,
                    form.channels,
                )
                arrivals = Arrivals(sample_rate_hz=form.sample_rate_hz)
                return _Capture(
                    stream=stream, ring=ring, arrivals=arrivals, rate_hz=form.sample_rate_hz
                )
        except AudioError as exc:
            faults.append(str(exc))
        self._complain(faults[0])
        return None

    def _absent(self, wait_s: float) -> Iterator[AudioBlock]:
        """Wait for the next attempt, saying now and then that samples are being lost."""
        until_s = self._timer.monotonic_s() + wait_s
        while not self._stop.is_set() and (left_s := until_s - self._timer.monotonic_s()) > 0:
            self._timer.wait(self._stop, min(left_s, TELL_S))
            yield from self._lost_until(self._timer.monotonic_s())

    def _listen(self, capture: _Capture) -> Iterator[AudioBlock]:
        heard_s = self._timer.monotonic_s()
        first = True
        while not self._stop.is_set():
            chunk = capture.ring.read()
            self.backlog_s = capture.ring.lag_frames / capture.rate_hz
            if chunk is None:
                silent_s = self._timer.monotonic_s() - heard_s
                if silent_s > STALL_S or not capture.stream.active():
                    self._complain(f"the sound system has sent nothing for {silent_s:.1f} s")
                    break
                self._timer.wait(self._stop, POLL_S)
                continue
            heard_s = max(heard_s, chunk.arrival_s)
            if first:
                first = False
                yield from self._begin(chunk.arrival_s - len(chunk.frames) / capture.rate_hz)
            for piece in capture.arrivals.push(chunk):
                yield from self._hear(piece, capture)
        yield from self._flush()

    def _begin(self, monotonic_s: float) -> Iterator[AudioBlock]:
        """The first frame of a device was heard at `monotonic_s`; the very first is sample 0,
        whatever opening it took.
        """
        if self._next:
            yield from self._lost_until(monotonic_s)
        else:
            self._next_s = monotonic_s
            self._on_position(0, monotonic_s)
        self._backoff.reset()
        self._fault, self.problem = "", None

    def _hear(self, piece: Piece, capture: _Capture) -> Iterator[AudioBlock]:
        if piece.lost_frames or piece.dropped_frames:
            yield from self._flush()
            self._skip(self._samples(piece.lost_frames, capture), "lost")
            self._skip(self._samples(piece.dropped_frames, capture), "dropped")
        samples = _mono(piece.frames, self._config.channel)
        if capture.rate_hz != self._rate_hz and len(samples):
            if self._resampler is None:
                self._resampler = soxr.ResampleStream(
                    capture.rate_hz, self._rate_hz, 1, dtype="float32", quality="HQ"
                )
            samples = self._resampler.resample_chunk(samples)
        yield self._block(samples)
        # The resampler's delay of some milliseconds is far below what is known of the sound card's.
        self._next_s = capture.arrivals.heard_until_s
        self._on_position(self._next, self._next_s)

    def _samples(self, frames: int, capture: _Capture) -> int:
        """Frames of the device as samples of ours; a loss, however short, is at least one."""
        return max(1, round(frames * self._rate_hz / capture.rate_hz)) if frames else 0

    def _lost_until(self, monotonic_s: float) -> Iterator[AudioBlock]:
        missing = round((monotonic_s - self._next_s) * self._rate_hz)
        if missing > 0:
            self._skip(missing, "lost")
            self._next_s = monotonic_s
            yield self._block(np.empty(0, np.float32))

    def _skip(self, samples: int, reason: Literal["lost", "dropped"]) -> None:
        if samples:
            self._on_gap(
                Gap(start_sample=self._next, end_sample=self._next + samples, reason=reason)
            )
            self._next += samples

    def _flush(self) -> Iterator[AudioBlock]:
        """What the resampler still holds, when the audio breaks off."""
        tail = self._drain()
        if len(tail):
            yield self._block(tail)

    def _drain(self) -> Array:
        tail: Array = np.empty(0, np.float32)
        if self._resampler is not None:
            tail = self._resampler.resample_chunk(tail, last=True)
            self._resampler = None
        return tail

    def _block(self, samples: Array, *, last: bool = False) -> AudioBlock:
        block = AudioBlock(
            start_sample=self._next, samples=samples, sample_rate_hz=self._rate_hz, last=last
        )
        self._next = block.end_sample
        return block

    def _complain(self, fault: str) -> None:
        """Log a fault once, not at each attempt."""
        self.problem = fault
        self._on_fault()
        if fault != self._fault:
            log.warning("microphone: %s; trying again for as long as it takes", fault)
            self._fault = fault


def formats(device: Device, config: AudioConfig) -> Iterator[Format]:
    """Formats worth trying, best first: the device's own rate and as few channels as will do."""
    rate_hz = config.rate_hz or device.sample_rate_hz
    enough = min(device.channels, MIXED_CHANNELS) if config.channel == "mix" else config.channel
    if enough > device.channels:
        raise AudioError(
            f"{device.stable_name}: has {device.channels} channels, and channel {enough} is wanted"
        )
    channels = dict.fromkeys(
        [
            min(enough, 2)
            if device.channels > MIXED_CHANNELS and config.channel == "mix"
            else enough,
            enough,
        ]
    )
    for count in [*channels, *({device.channels} - channels.keys())]:
        for rate in dict.fromkeys([rate_hz] if config.rate_hz else [rate_hz, 48_000, 44_100]):
            yield Format(sample_rate_hz=rate, channels=count)


def _mono(frames: Array, channel: int | Literal["mix"]) -> Array:
    """Frames (n, channels) to samples (n,)."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    mono: Array = (
        frames.mean(axis=1, dtype=np.float32) if channel == "mix" else frames[:, channel - 1].copy()
    )
    return mono
