"""Where a sound card's samples wait for the pipeline: one channel, or the mean of all.

The memory is allocated once, and does not depend on how many channels the card has. There is one
writer, which never waits, and one reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.sources.bounds import valid, with_silence
from edge.types import Array

__all__ = ["Chunk", "SampleRing"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What one callback brought: samples (n,) float32, which the receiver owns.

    They arrived at `arrival_s` of the monotonic clock. `dropped_frames`, which came directly before
    this chunk, were overwritten before they could be read. `overflow` says that the system lost an
    unknown number of frames there. `invalid_samples` of the chosen channels were NaN or out of all
    bounds, and are silence. `swing` is the largest distance from the lowest to the highest sample
    within one channel, in full scales; 0 where a single channel was chosen.
    """

    samples: Array
    arrival_s: float
    overflow: bool
    dropped_frames: int = 0
    invalid_samples: int = 0
    swing: float = 0.0


class SampleRing:
    """The last `capacity` samples of a stream, and for each callback its end, time and flags.

    `channel` counts from 1, and `mix` is the mean of all. `write` belongs to PortAudio's callback
    thread, `read` to one other thread, without a lock. The writer claims its region before it
    overwrites it and counts it as written afterwards; the reader looks at the claim after it has
    copied.
    """

    def __init__(
        self,
        *,
        capacity: int,
        channels: int,
        channel: int | Literal["mix"] = "mix",
        slots: int = 4096,
    ) -> None:
        self._channels = channels
        self._chosen = slice(None) if channel == "mix" else slice(channel - 1, channel)
        self._mixed = channel == "mix" and channels > 1
        self._samples: Array = np.zeros(capacity, np.float32)
        self._ends: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._arrivals: NDArray[np.float64] = np.zeros(slots, np.float64)
        self._overflows: NDArray[np.bool_] = np.zeros(slots, np.bool_)
        self._invalid: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._swings: Array = np.zeros(slots, np.float32)
        self._claimed = 0  # samples
        self._written = 0  # callbacks
        self._read = 0  # callbacks
        self._read_samples = 0

    @property
    def waiting_samples(self) -> int:
        """How many samples are written, not yet read, and not yet overwritten."""
        return min(self._claimed - self._read_samples, len(self._samples))

    def write(self, data: bytes, arrival_s: float, overflow: bool) -> None:
        """Take interleaved float32 frames, in the place of the oldest.

        Does not wait, and allocates nothing of the length of `data` unless a sample is invalid.
        """
        frames = np.frombuffer(data, np.float32).reshape(-1, self._channels)[:, self._chosen]
        invalid = 0
        if not valid(frames):
            frames, invalid = with_silence(frames)
        self._claimed += len(frames)
        slot = self._written % len(self._ends)
        self._put(frames[-len(self._samples) :])
        self._ends[slot] = self._claimed
        self._arrivals[slot] = arrival_s
        self._overflows[slot] = overflow
        self._invalid[slot] = invalid
        self._swings[slot] = _swing(frames) if self._mixed else 0.0
        self._written += 1  # last: from here on the reader may look

    def _put(self, frames: Array) -> None:
        """Write the mean of frames (n, chosen channels) up to the claim."""
        capacity = len(self._samples)
        at = (self._claimed - len(frames)) % capacity
        first = min(len(frames), capacity - at)
        _average(frames[:first], self._samples[at : at + first])
        _average(frames[first:], self._samples[: len(frames) - first])

    def read(self) -> Chunk | None:
        """Return the oldest chunk that is still whole, or None when nothing waits."""
        overflow, invalid = False, 0
        while self._read < self._written:
            # A reader so late that its slot has been reused goes on at the oldest slot that has
            # not, with one to spare.
            self._read = max(self._read, self._written - len(self._ends) + 1)
            slot, start = self._read % len(self._ends), self._read_samples
            end, arrival_s = int(self._ends[slot]), float(self._arrivals[slot])
            overflow |= bool(self._overflows[slot])
            invalid += int(self._invalid[slot])
            swing = float(self._swings[slot])
            before = int(self._ends[slot - 1]) if self._read else 0
            samples = self._copy(before, end)
            self._read += 1
            if self._overtaken(before):
                continue  # overwritten before or while it was copied
            self._read_samples = end
            return Chunk(
                samples=samples,
                arrival_s=arrival_s,
                overflow=overflow,
                dropped_frames=before - start,
                invalid_samples=invalid,
                swing=swing,
            )
        return None

    def _overtaken(self, start: int) -> bool:
        """Return whether the writer has reached the sample `start` or its slot again."""
        if self._claimed - start > len(self._samples):
            return True
        return self._written - self._read >= len(self._ends) - 1

    def _copy(self, start: int, end: int) -> Array:
        capacity = len(self._samples)
        count = min(end - start, capacity)
        at = start % capacity
        first = min(count, capacity - at)
        return np.concatenate([self._samples[at : at + first], self._samples[: count - first]])


def _average(frames: Array, out: Array) -> None:
    """Write the mean of the channels as `numpy.mean` has it, without its memory."""
    if frames.shape[1] == 1:
        out[:] = frames[:, 0]
        return
    np.add.reduce(frames, axis=1, out=out)
    out /= np.float32(frames.shape[1])


def _swing(frames: Array) -> float:
    """Return the largest distance from lowest to highest within a channel: an offset is none."""
    if not len(frames):
        return 0.0
    return float((frames.max(axis=0) - frames.min(axis=0)).max())
