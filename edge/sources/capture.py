"""A device that is open, and what it brings until it breaks."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field

from edge.errors import AudioError
from edge.sources.arrivals import Arrivals
from edge.sources.audioconfig import AudioConfig, formats
from edge.sources.device import Device, Format, choose_device
from edge.sources.memory import SoundMemory
from edge.sources.portaudio import CALLBACK_S, AudioSystem, Stream
from edge.sources.ring import Chunk, SampleRing

__all__ = ["Capture", "open_capture"]

RECENT_CHUNKS = 120  # about 6 s, a window
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Capture:
    """An open stream, the ring that its callbacks fill, and what finds the holes in it."""

    stream: Stream
    ring: SampleRing
    arrivals: Arrivals
    rate_hz: int
    _swings: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_CHUNKS))

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait to be read; any thread may ask."""
        return self.ring.waiting_samples / self.rate_hz

    @property
    def swing(self) -> float:
        """Largest of the latest `Chunk.swing`."""
        return max(self._swings, default=0.0)

    def read(self) -> Chunk | None:
        """Return the oldest chunk that waits, or None."""
        chunk = self.ring.read()
        if chunk is not None:
            self._swings.append(chunk.swing)
        return chunk


def open_capture(audio: AudioSystem, config: AudioConfig, memory: SoundMemory) -> Capture:
    """Open the input in the first format that works.

    Raises `AudioError` with the first reason when none does.
    """
    device = choose_device(audio.devices(), config.device)
    refusal: AudioError | None = None
    for form in formats(device, config):
        try:
            return _opened(audio, device, form, config, memory)
        except AudioError as exc:
            refusal = refusal or exc
    assert refusal is not None  # there is always a format to try
    raise refusal


def _opened(
    audio: AudioSystem, device: Device, form: Format, config: AudioConfig, memory: SoundMemory
) -> Capture:
    """Raise `AudioError` when `device` is gone or refuses the format."""
    rate_hz = form.sample_rate_hz
    ring = SampleRing(
        capacity=memory.buffer_samples(rate_hz),
        channels=form.channels,
        channel=config.channel,
        slots=round(2 * memory.buffer_s / CALLBACK_S) + 16,
    )
    stream = audio.open(device, form, ring.write)
    log.info("listening to %s: %d Hz, %d channels", device.stable_name, rate_hz, form.channels)
    if memory.share(rate_hz) < 1:
        held_s = memory.buffer_s * memory.share(rate_hz)
        text = "audio.memory_mb = %g holds %.0f of the %g s of audio.buffer_s at %d Hz"
        log.warning(text, config.memory_mb, held_s, memory.buffer_s, rate_hz)
    return Capture(
        stream=stream, ring=ring, arrivals=Arrivals(sample_rate_hz=rate_hz), rate_hz=rate_hz
    )
