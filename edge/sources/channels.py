"""Which of a recording's channels is heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import AudioError
from edge.sources.decoding import Decoder
from edge.sources.header import AudioFacts
from edge.types import Array

__all__ = ["Channel", "ChannelMixer", "channel_of"]

Channel = int | Literal["mix", "loudest"]
# A mean with less of the channels' energy than this is what they cancel down to; channels that
# have nothing to do with each other keep one half.
CANCELLED = 0.01
SILENT = 1e-10  # mean square of digital silence and dither: nothing to cancel


def channel_of(facts: AudioFacts, channel: Channel) -> int | Literal["mix"]:
    """Return the channel from 1, or `mix`, that `channel` means in a recording.

    The `loudest` has the most energy over the whole recording, which is decoded for that. Raises
    `AudioError` where the recording has not so many channels.
    """
    if channel == "mix" or facts.channels == 1 == channel:
        return channel
    if channel == "loudest":
        return _loudest(facts) if facts.channels > 1 else 1
    if not 1 <= channel <= facts.channels:
        have = f"{facts.channels} channel" + ("s" if facts.channels > 1 else "")
        raise AudioError(f"{facts.path}: has {have}, and channel {channel} is wanted")
    return channel


@dataclass
class ChannelMixer:
    """Makes one channel of many, and notes where they cancel each other."""

    channel: int | Literal["mix"]
    cancelled: int = 0

    def mono(self, frames: Array) -> Array:
        """Return samples (n,) of frames (n, channels)."""
        if self.channel != "mix":
            return np.ascontiguousarray(frames[:, self.channel - 1])
        mixed: Array = frames.mean(axis=1, dtype=np.float32)
        if frames.shape[1] > 1 and _cancel(frames, mixed):
            self.cancelled += len(frames)
        return mixed

    def notes(self, rate_hz: int) -> list[str]:
        """Return what is to be said of the channels."""
        if not self.cancelled:
            return []
        seconds = self.cancelled / rate_hz
        return [f"its channels cancel each other in {seconds:.1f} s of it; --channel 1 hears one"]


def _cancel(frames: Array, mixed: Array) -> bool:
    single = float(np.mean(np.square(frames, dtype=np.float64)))
    left = float(np.mean(np.square(mixed, dtype=np.float64)))
    return single > SILENT and left < CANCELLED * single


def _loudest(facts: AudioFacts) -> int:
    energy: NDArray[np.float64] = np.zeros(facts.channels)
    for _, frames in Decoder(facts=facts).runs():
        energy += np.square(frames, dtype=np.float64).sum(axis=0)
    return int(np.argmax(energy)) + 1
