"""A microphone that may be absent, unplugged or stalled.

It is tried again for ever, and every sample that it did not bring is a gap.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Literal

import numpy as np
import soxr

from edge.backoff import Backoff
from edge.errors import AudioError
from edge.sources.arrivals import Piece
from edge.sources.audioconfig import AudioConfig
from edge.sources.callbacks import Callbacks, CardAudio
from edge.sources.capture import Capture, open_capture
from edge.sources.memory import SoundMemory
from edge.sources.portaudio import AudioSystem
from edge.sources.timer import SystemTimer, Timer
from edge.types import Array, AudioBlock, Gap

__all__ = ["AudioConfig", "Microphone"]

POLL_S = 0.02
STALL_S = 2.0  # without a callback, after which the stream is opened again
SILENCE_S = 1.0  # between blocks without samples, while there is no device
log = logging.getLogger(__name__)


class Microphone:
    """Live audio at `sample_rate_hz` until `stop` is called, as a `Source`.

    `blocks` runs on one thread, and calls `callbacks` there. `stop` may be called from any thread
    or signal handler.
    """

    def __init__(
        self,
        config: AudioConfig,
        *,
        sample_rate_hz: int,
        audio: AudioSystem,
        timer: Timer | None = None,
        backoff: Backoff | None = None,
        memory: SoundMemory | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._config = config
        self._rate_hz = sample_rate_hz
        self._audio = audio
        self._memory = memory or config.memory()
        self._timer = timer or SystemTimer()
        self._backoff = backoff or Backoff()
        self._tell = callbacks or Callbacks()
        self._stop = threading.Event()
        self._fault = ""  # why no audio comes; empty when all is well
        self._current: Capture | None = None

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples in the blocks."""
        return self._rate_hz

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait to be read; any thread may ask, also while no one reads."""
        capture = self._current
        return capture.backlog_s if capture is not None else 0.0

    @property
    def swing(self) -> float:
        """Distance from lowest to highest sample within one channel of a mix, of the last seconds.

        In full scales; 0 where there is no mix. Belongs to the thread of `blocks`.
        """
        capture = self._current
        return capture.swing if capture is not None else 0.0

    def stop(self) -> None:
        """Have `blocks` end soon."""
        self._stop.set()

    def blocks(self) -> Iterator[AudioBlock]:
        """See `Source.blocks`; each call begins again, at sample 0."""
        self._next = 0
        self._next_s = self._timer.monotonic_s()
        self._resampler: soxr.ResampleStream | None = None
        self._unbroken = False  # whether the next samples of the card follow on the last
        try:
            while not self._stop.is_set():
                capture = self._current = self._open()
                if capture is not None:
                    try:
                        yield from self._listen(capture)
                    finally:
                        self._current = None
                        capture.stream.close()
                # Also after a stream that broke: a device may open well and then send nothing, over
                # and over.
                yield from self._absent(self._backoff.next_s())
            yield self._block(self._drain(), last=True)
        finally:
            self._stop.clear()

    def _open(self) -> Capture | None:
        """Open the input; report the reason when that fails."""
        try:
            return open_capture(self._audio, self._config, self._memory)
        except AudioError as exc:
            self._report(str(exc))
            return None

    def _absent(self, wait_s: float) -> Iterator[AudioBlock]:
        """Wait for the next attempt, with a block now and then whose start has moved on."""
        until_s = self._timer.monotonic_s() + wait_s
        while not self._stop.is_set() and (left_s := until_s - self._timer.monotonic_s()) > 0:
            self._timer.wait(self._stop, min(left_s, SILENCE_S))
            yield from self._lost_until(self._timer.monotonic_s())

    def _listen(self, capture: Capture) -> Iterator[AudioBlock]:
        arrived_s = self._timer.monotonic_s()
        first = True
        while not self._stop.is_set():
            chunk = capture.read()
            if chunk is None:
                silent_s = self._timer.monotonic_s() - arrived_s
                if silent_s > STALL_S or not capture.stream.active():
                    self._report(f"the sound system has sent nothing for {silent_s:.1f} s")
                    break
                self._timer.wait(self._stop, POLL_S)
                continue
            arrived_s = max(arrived_s, chunk.arrival_s)
            if chunk.invalid_samples:
                self._tell.on_invalid(chunk.invalid_samples)
            if first:
                first = False
                yield from self._begin(chunk.arrival_s - len(chunk.samples) / capture.rate_hz)
            for piece in capture.arrivals.push(chunk):
                yield from self._take(piece, capture)
        yield from self._flush()

    def _begin(self, monotonic_s: float) -> Iterator[AudioBlock]:
        """Place the first frame of a device, recorded at `monotonic_s`, on the timeline.

        The very first one is sample 0, however long opening the device took.
        """
        if self._next:
            yield from self._lost_until(monotonic_s)
        else:
            self._next_s = monotonic_s
            self._tell.on_position(0, monotonic_s)
        self._backoff.reset()
        self._fault = ""

    def _take(self, piece: Piece, capture: Capture) -> Iterator[AudioBlock]:
        if piece.lost_frames or piece.dropped_frames:
            yield from self._flush()
            self._skip(self._samples(piece.lost_frames, capture), "lost")
            self._skip(self._samples(piece.dropped_frames, capture), "dropped")
        samples = piece.samples
        if len(samples):
            start = None if self._unbroken else self._next
            rate_hz = capture.rate_hz
            self._tell.on_card(
                CardAudio(samples=samples, sample_rate_hz=rate_hz, start_sample=start)
            )
            self._unbroken = True
        if capture.rate_hz != self._rate_hz and len(samples):
            if self._resampler is None:
                self._resampler = soxr.ResampleStream(
                    capture.rate_hz, self._rate_hz, 1, dtype="float32", quality="HQ"
                )
            samples = self._resampler.resample_chunk(samples)
        yield self._block(samples)
        # The resampler's delay of some milliseconds is far below the unknown delay of a sound card.
        self._next_s = capture.arrivals.arrived_until_s
        self._tell.on_position(self._next, self._next_s)

    def _samples(self, frames: int, capture: Capture) -> int:
        """Convert lost frames of the device to samples; the shortest loss is one sample."""
        return max(1, round(frames * self._rate_hz / capture.rate_hz)) if frames else 0

    def _lost_until(self, monotonic_s: float) -> Iterator[AudioBlock]:
        missing = round((monotonic_s - self._next_s) * self._rate_hz)
        if missing > 0:
            self._skip(missing, "lost")
            self._next_s = monotonic_s
            yield self._block(np.empty(0, np.float32))

    def _skip(self, samples: int, reason: Literal["lost", "dropped"]) -> None:
        if samples:
            self._tell.on_gap(
                Gap(start_sample=self._next, end_sample=self._next + samples, reason=reason)
            )
            self._next += samples

    def _flush(self) -> Iterator[AudioBlock]:
        """Yield what the resampler still holds, when the audio breaks off."""
        tail = self._drain()
        if len(tail):
            yield self._block(tail)

    def _drain(self) -> Array:
        self._unbroken = False
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

    def _report(self, fault: str) -> None:
        """Log why no audio comes, once and not at each attempt."""
        self._tell.on_fault()
        if fault != self._fault:
            log.warning("microphone: %s; trying again for as long as it takes", fault)
            self._fault = fault
