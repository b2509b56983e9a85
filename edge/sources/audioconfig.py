"""Which input a recorder listens to, and the formats that it tries there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from edge.errors import AudioError
from edge.section import MB, Section
from edge.sources.device import MOST_CHANNELS, Device, Format
from edge.sources.memory import SoundMemory

__all__ = ["SHORTEST_BUFFER_S", "AudioConfig", "formats"]

USUAL_CHANNELS = (1, 2, 4, 8, 16, 32, 64)
USUAL_RATES_HZ = (48_000, 44_100)
SHORTEST_BUFFER_S = 10.0


class AudioConfig(Section):
    """Which input, and what of it.

    `device` is a name as in `portaudio.choose_device`; `channel` counts from 1, or `mix` is the
    mean of all. `rate_hz` None is the device's own. `buffer_s` of audio wait in memory while
    inference is late; then the oldest are dropped. `memory_mb` bounds that and the sound from which
    clips are cut, together.
    """

    device: Annotated[str, Field(min_length=1)] | None = None
    channel: Annotated[int, Field(ge=1, le=64)] | Literal["mix"] = "mix"
    rate_hz: Annotated[int, Field(ge=8_000, le=384_000)] | None = None
    buffer_s: Annotated[float, Field(ge=SHORTEST_BUFFER_S, le=3600)] = 60.0
    memory_mb: Annotated[float, Field(ge=8, le=100_000)] = 176.0

    def memory(self, *, recent_s: float = 0.0) -> SoundMemory:
        """Return what the rings take, where clips are cut from the last `recent_s`."""
        most = round(self.memory_mb * MB)
        return SoundMemory(buffer_s=self.buffer_s, recent_s=recent_s, most_bytes=most)


def formats(device: Device, config: AudioConfig) -> Iterator[Format]:
    """Yield the formats worth trying, best first.

    The best is the device's own rate with all of its channels: a sound server that is asked for
    fewer puts the mean of several into each. Raises `AudioError` where the device has too few.
    """
    if config.channel != "mix" and config.channel > device.channels:
        raise AudioError(
            f"{device.stable_name}: has {device.channels} channels, and channel {config.channel} "
            "is wanted"
        )
    rates_hz = [config.rate_hz] if config.rate_hz else [device.sample_rate_hz, *USUAL_RATES_HZ]
    for channels in _channel_counts(device, config.channel):
        for rate_hz in dict.fromkeys(rates_hz):
            yield Format(sample_rate_hz=rate_hz, channels=channels)


def _channel_counts(device: Device, channel: int | Literal["mix"]) -> list[int]:
    """Return with how many channels to open `device`, best first."""
    least = 1 if channel == "mix" else channel
    fewer = [n for n in reversed(USUAL_CHANNELS) if least <= n < device.channels]
    if device.direct:
        # A card refuses what it does not have, and mixes nothing; at a high rate it may have fewer.
        return [device.channels, *fewer]
    if not device.invents_channels:
        return [device.channels]
    # How many there are in truth is not told. Two show whether a mix cancels. One of several comes
    # through alone only where all positions of the source are asked for.
    if channel == "mix":
        return [2, 1, MOST_CHANNELS]
    fewer = [n for n in fewer if 1 < n < MOST_CHANNELS]
    return [max(MOST_CHANNELS, channel), device.channels, *fewer]
