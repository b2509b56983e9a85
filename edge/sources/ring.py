"""Where a sound card's frames wait for the pipeline.

The memory is allocated once. There is one writer, which never waits, and one reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import Array

__all__ = ["Chunk", "FrameRing"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What one callback brought: frames (n, channels) float32, which the receiver owns.

    They arrived at `arrival_s` of the monotonic clock. `dropped_frames`, which came directly before
    this chunk, were overwritten before they could be read. `overflow` says that the system lost an
    unknown number of frames there.
    """

    frames: Array
    arrival_s: float
    overflow: bool
    dropped_frames: int = 0


class FrameRing:
    """The last `capacity_frames` of a stream, and for each callback its end, time and flag.

    `write` belongs to PortAudio's callback thread, `read` to one other thread, without a lock. The
    writer claims its region before it overwrites it and counts it as written afterwards; the reader
    looks at the claim after it has copied.
    """

    def __init__(self, *, capacity_frames: int, channels: int, slots: int = 4096) -> None:
        self._frames: Array = np.zeros((capacity_frames, channels), np.float32)
        self._ends: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._arrivals: NDArray[np.float64] = np.zeros(slots, np.float64)
        self._flags: NDArray[np.bool_] = np.zeros(slots, np.bool_)
        self._claimed = 0  # frames
        self._written = 0  # callbacks
        self._read = 0  # callbacks
        self._read_frames = 0

    @property
    def waiting_frames(self) -> int:
        """How many frames are written, not yet read, and not yet overwritten."""
        return min(self._claimed - self._read_frames, len(self._frames))

    def write(self, data: bytes, arrival_s: float, overflow: bool) -> None:
        """Take interleaved float32 frames, in the place of the oldest.

        Neither waits nor allocates more than a view.
        """
        fresh = np.frombuffer(data, np.float32).reshape(-1, self._frames.shape[1])
        capacity = len(self._frames)
        self._claimed += len(fresh)
        fresh = fresh[-capacity:]
        count = len(fresh)
        start = self._claimed - count
        at = start % capacity
        first = min(count, capacity - at)
        self._frames[at : at + first] = fresh[:first]
        self._frames[: count - first] = fresh[first:]
        slot = self._written % len(self._ends)
        self._ends[slot] = self._claimed
        self._arrivals[slot] = arrival_s
        self._flags[slot] = overflow
        self._written += 1  # last: from here on the reader may look

    def read(self) -> Chunk | None:
        """Return the oldest chunk that is still whole, or None when nothing waits."""
        overflow = False
        while self._read < self._written:
            # A reader so late that its slot has been reused goes on at the oldest slot that has
            # not, with one to spare.
            self._read = max(self._read, self._written - len(self._ends) + 1)
            slot, start = self._read % len(self._ends), self._read_frames
            end, arrival_s = int(self._ends[slot]), float(self._arrivals[slot])
            overflow |= bool(self._flags[slot])
            before = int(self._ends[slot - 1]) if self._read else 0
            frames = self._copy(before, end)
            self._read += 1
            if self._overtaken(before):
                continue  # overwritten before or while it was copied
            self._read_frames = end
            return Chunk(
                frames=frames, arrival_s=arrival_s, overflow=overflow, dropped_frames=before - start
            )
        return None

    def _overtaken(self, start: int) -> bool:
        """Return whether the writer has reached the frame `start` or its slot again."""
        if self._claimed - start > len(self._frames):
            return True
        return self._written - self._read >= len(self._ends) - 1

    def _copy(self, start: int, end: int) -> Array:
        capacity = len(self._frames)
        count = min(end - start, capacity)
        at = start % capacity
        first = min(count, capacity - at)
        return np.concatenate([self._frames[at : at + first], self._frames[: count - first]])
