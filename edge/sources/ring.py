"""Where a sound card's frames wait for the pipeline: memory taken once, one writer that never
waits, one reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import Array

__all__ = ["Chunk", "FrameRing"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What one callback brought: frames (n, channels) float32, owned by the receiver, and when, by
    the monotonic clock.

    `dropped_frames` were overwritten before they could be read; they came directly before this
    chunk. `overflow`: the system says that it lost an unknown number of frames there.
    """

    frames: Array
    arrival_s: float
    overflow: bool
    dropped_frames: int = 0


class FrameRing:
    """The last `capacity_frames` of a stream, and for each callback its end, time and flag.

    `write` belongs to PortAudio's callback thread, `read` to one other; no lock lies between them.
    The writer claims its region before it overwrites it and says so again afterwards, and the
    reader looks at the claim after it has copied.
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
    def lag_frames(self) -> int:
        """Frames written and not yet read."""
        return self._claimed - self._read_frames

    def write(self, data: bytes, arrival_s: float, overflow: bool) -> None:
        """Take interleaved float32 frames; overwrites the oldest. Neither waits nor allocates more
        than a view.
        """
        fresh = np.frombuffer(data, np.float32).reshape(-1, self._frames.shape[1])
        capacity = len(self._frames)
        start, count = self._claimed, len(fresh)
        self._claimed = start + count
        if count > capacity:
            fresh, start, count = fresh[-capacity:], start + count - capacity, capacity
        at = start % capacity
        first = min(count, capacity - at)
        self._frames[at : at + first] = fresh[:first]
        self._frames[: count - first] = fresh[first:]
        slot = self._written % len(self._ends)
        self._ends[slot], self._arrivals[slot], self._flags[slot] = (
            self._claimed,
            arrival_s,
            overflow,
        )
        self._written += 1  # last: from here on the reader may look

    def read(self) -> Chunk | None:
        """The oldest chunk that is still whole, or None when there is none yet."""
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
            if (
                self._claimed - before > len(self._frames)
                or self._written - self._read >= len(self._ends) - 1
            ):
                continue  # overwritten before or while it was copied
            self._read_frames = end
            return Chunk(
                frames=frames, arrival_s=arrival_s, overflow=overflow, dropped_frames=before - start
            )
        return None

    def _copy(self, start: int, end: int) -> Array:
        capacity = len(self._frames)
        count = min(end - start, capacity)
        at = start % capacity
        first = min(count, capacity - at)
        return np.concatenate([self._frames[at : at + first], self._frames[: count - first]])
