"""Which input a recorder listens to, and the formats that it tries there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from edge.errors import AudioError
from edge.section import Section
from edge.sources.portaudio import Device, Format
from edge.types import Array

__all__ = ["AudioConfig", "formats", "mono"]

# A device that offers more is a plug-in of ALSA that invents as many channels as one asks for.
MIXED_CHANNELS = 8
USUAL_RATES_HZ = (48_000, 44_100)


class AudioConfig(Section):
    """Which input, and what of it.

    `device` is a name as in `portaudio.choose_device`; `channel` counts from 1, or `mix` is the
    mean of all. `rate_hz` None is the device's own. `buffer_s` of audio wait in memory while
    inference is late; then the oldest are dropped.
    """

    device: Annotated[str, Field(min_length=1)] | None = None
    channel: Annotated[int, Field(ge=1, le=64)] | Literal["mix"] = "mix"
    rate_hz: Annotated[int, Field(ge=8_000, le=384_000)] | None = None
    buffer_s: Annotated[float, Field(ge=10, le=3600)] = 120.0


def formats(device: Device, config: AudioConfig) -> Iterator[Format]:
    """Yield the formats worth trying, best first.

    The best is the device's own rate and as few channels as suffice. Raises `AudioError` where the
    device has too few channels.
    """
    enough = min(device.channels, MIXED_CHANNELS) if config.channel == "mix" else config.channel
    if enough > device.channels:
        raise AudioError(
            f"{device.stable_name}: has {device.channels} channels, and channel {enough} is wanted"
        )
    invented = config.channel == "mix" and device.channels > MIXED_CHANNELS
    first = min(enough, 2) if invented else enough
    rates_hz = [config.rate_hz] if config.rate_hz else [device.sample_rate_hz, *USUAL_RATES_HZ]
    for channels in dict.fromkeys([first, enough, device.channels]):
        for rate_hz in dict.fromkeys(rates_hz):
            yield Format(sample_rate_hz=rate_hz, channels=channels)


def mono(frames: Array, channel: int | Literal["mix"]) -> Array:
    """Return samples (n,) from frames (n, channels): the `channel` from 1, or the mean of all."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    if channel == "mix":
        mean: Array = frames.mean(axis=1, dtype=np.float32)
        return mean
    return frames[:, channel - 1].copy()
