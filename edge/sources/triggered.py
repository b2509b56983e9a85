"""What a triggered AudioMoth leaves out of its files, as gaps in the sample index.

A file `...T.WAV` holds only what was loud enough. In the place of what was not stands one block of
512 bytes, which says how many such blocks were left out: 32 samples of 1 or -1 are the bits of that
number, the lowest first, and the rest of the block is zero (Open Acoustic Devices,
AudioMoth-Firmware-Basic). Heard as it is, two calls an hour apart would be one event.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np

from edge.sources.header import AudioFacts
from edge.types import Array

__all__ = ["BLOCK", "expanded", "is_triggered"]

BLOCK = 256  # samples
BITS = 32
FULL_SCALE = 32_768
NAME = re.compile(r"\d{8}_\d{6}T(?=\.|$)", re.IGNORECASE)


def is_triggered(facts: AudioFacts) -> bool:
    """Return whether the file may hold such blocks; other files never are searched for them."""
    stream = facts.layout.facts
    mono_16_bit = stream.channels == 1 and stream.encoding == "PCM_16"
    named = NAME.search(os.path.basename(facts.path)) is not None
    return mono_16_bit and (named or facts.metadata.from_audiomoth)


def expanded(runs: Iterator[tuple[int, Array]]) -> Iterator[tuple[int, Array]]:
    """Yield `runs` of frames (n, 1), each from its start frame, with gaps for what was left out.

    The runs are the pieces of a recording in order; each but the last has a multiple of `BLOCK`
    frames.
    """
    shift = 0
    for start, frames in runs:
        done = 0
        for i in _marks(frames[:, 0]):
            if i * BLOCK > done:
                yield start + done + shift, frames[done : i * BLOCK]
            done = (i + 1) * BLOCK
            # The block itself stands for no time.
            shift += _count(frames[i * BLOCK : i * BLOCK + BITS, 0]) * BLOCK - BLOCK
        if done < len(frames):
            yield start + done + shift, frames[done:]


def _marks(samples: Array) -> list[int]:
    """Return the numbers of the blocks that are no sound."""
    whole = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    # Silence first: it is quick to see, and rare.
    silent = np.flatnonzero(~whole[:, BITS:].any(axis=1))
    bits = np.abs(whole[silent, :BITS]) * FULL_SCALE == 1
    return [int(i) for i in silent[bits.all(axis=1)]]


def _count(bits: Array) -> int:
    return sum(1 << i for i, bit in enumerate(bits) if bit > 0)
