"""From where in a recording resampling can begin anew and give, bit for bit, what it gives from the
beginning.

soxr works in blocks, so its output depends on where in a block a sample stands. How long the blocks
are is not documented: it is found by trying.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import soxr

from edge.types import Array

__all__ = ["QUALITY", "SETTLED_FRAMES", "restart_frames"]

QUALITY = "HQ"
# After so many frames nothing is left of how it began.
SETTLED_FRAMES = 16_384
PROBED_FRAMES = 24_000
LONGEST = 1 << 20  # frames
MOST_TRIES = 4_000  # a second; all common rates are found within it


@cache
def restart_frames(from_hz: int, to_hz: int) -> int | None:
    """Return the number of frames whose multiples are such places; None where none is found.

    The samples from there on are the same after `SETTLED_FRAMES`.
    """
    if from_hz == to_hz:
        return 1
    common = math.gcd(from_hz, to_hz)
    step, out = from_hz // common, to_hz // common
    sound = np.random.default_rng(0).standard_normal(2 * LONGEST + PROBED_FRAMES)
    frames = (0.1 * sound).astype(np.float32)
    whole = _resampled(frames, from_hz, to_hz)

    def is_one(times: int) -> bool:
        part = _resampled(frames[times * step :][:PROBED_FRAMES], from_hz, to_hz)
        first = SETTLED_FRAMES * to_hz // from_hz + 1
        last = first + 4_000 * to_hz // from_hz
        begin = times * out
        return np.array_equal(part[first:last], whole[begin + first : begin + last])

    for times in range(1, min(MOST_TRIES, LONGEST // step)):
        if is_one(times) and is_one(2 * times):
            return times * step
    return None


def _resampled(frames: Array, from_hz: int, to_hz: int) -> Array:
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=QUALITY)
    result: Array = stream.resample_chunk(frames, last=True)
    return result
