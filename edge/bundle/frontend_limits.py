"""What a description of a frontend may not ask for, because it cannot be meant.

More than the limits is beyond any recorder's means: a mistake, or meant to harm.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edge.bundle.bins import rows_within
from edge.bundle.channels import BINS
from edge.errors import SpecError, shown

if TYPE_CHECKING:
    from edge.bundle.spec import FrontendSpec

__all__ = [
    "LARGEST_KERNEL",
    "LONGEST_WINDOW_S",
    "MOST_BANDS",
    "MOST_CHANNELS",
    "refuse_large",
    "refuse_other_beside_bins",
    "refuse_strange_time",
    "refuse_strange_waveform",
]

# A recorder keeps two windows to cut the next from, and four more of sound for clips. At 120 s and
# 32 kHz that is 90 MB, and the spectrograms that S5 makes of them are 3/4 of `MOST_VALUES`; ten
# minutes would be 460 MB and four times as many values as that.
LONGEST_WINDOW_S = 120
LARGEST_N_FFT = 1 << 16
MOST_BANDS = 2_048
MOST_CHANNELS = 16
LARGEST_KERNEL = 255
MOST_VALUES = 1 << 23  # of all spectrograms, of a window's features, of the weights of bands
# Keys that have a meaning for a waveform.
OF_A_WAVEFORM = ("sample_rate_hz", "window_s", "n_mels", "fmax_hz", "channels", "scaling")


def refuse_large(spec: FrontendSpec) -> None:
    """Raise `SpecError` for a frontend that takes more work than a window is worth."""
    resized = spec.n_mels if spec.resized_bands is None else spec.resized_bands
    if not 1 <= resized <= MOST_BANDS:
        raise SpecError(f"resized_bands: {resized} is outside 1..{MOST_BANDS}")
    sizes = {channel.n_fft or spec.n_fft for channel in spec.channels}
    n_fft = max(spec.n_fft, *sizes)
    bins = 1 if spec.is_waveform else sum(1 + size // 2 for size in sizes)
    values = {
        "spectrogram": bins * spec.component_frames,
        "features": len(spec.channels) * max(spec.n_mels, resized) * spec.component_frames,
        "bands": spec.n_mels * (1 + n_fft // 2),
        # A resize keeps only the few weights that are not zero.
        "frames": (spec.frames or 1) * spec.component_frames // 2,
    }
    worst = max(values, key=lambda name: values[name])
    if n_fft > LARGEST_N_FFT or values[worst] > MOST_VALUES:
        raise SpecError(
            f"{worst}: {values[worst]} values and an n_fft of {n_fft} are more than "
            f"{MOST_VALUES} and {LARGEST_N_FFT}"
        )


def refuse_other_beside_bins(spec: FrontendSpec) -> None:
    """Raise `SpecError` where some channels keep their bins and others do not, or none is left."""
    kept = [channel for channel in spec.channels if channel.component == BINS]
    if kept and len(kept) < len(spec.channels):
        raise SpecError(f"channels: the component {BINS} has no other beside it")
    for channel in kept:
        rows = rows_within(spec, channel)
        if rows.stop == rows.start:
            raise SpecError("fmin_hz and fmax_hz: leave no bin between them")


def refuse_strange_time(spec: FrontendSpec) -> None:
    """Raise `SpecError` where a window has not the frames for its stretches, or they no length."""
    longest = spec.component_frames - spec.stack_overlap
    if spec.stack_overlap < 0 or not 1 <= spec.stack <= longest:
        raise SpecError(
            f"stack: {spec.stack} stretches that share {spec.stack_overlap} frames cannot be made "
            f"of {spec.component_frames} frames"
        )
    if spec.frames is not None and not 1 <= spec.frames <= 10_000:
        raise SpecError(f"frames: {spec.frames} is outside 1..10000")


def refuse_strange_waveform(spec: FrontendSpec) -> None:
    """Raise `SpecError` for a waveform with another channel, or with keys that mean nothing."""
    if len(spec.channels) > 1:
        raise SpecError("channels: a waveform has no other channel beside it")
    half_hz = spec.sample_rate_hz / 2
    if spec.n_mels != 1 or spec.fmax_hz != half_hz:
        raise SpecError(
            f"n_mels {spec.n_mels} and fmax_hz {spec.fmax_hz:g}: of a waveform they are 1 and half "
            f"the sample rate, {half_hz:g}"
        )
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if field.name not in OF_A_WAVEFORM and value != field.default:
            raise SpecError(
                f"{field.name}: {shown(value)} means nothing for a waveform, which has "
                f"{shown(field.default)} there"
            )
