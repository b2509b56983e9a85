"""The last minutes of a stream, kept so that the sound of an event can still be written."""

from __future__ import annotations

import numpy as np

from edge.types import Array, AudioBlock

__all__ = ["RecentAudio"]


class RecentAudio:
    """The last `capacity` samples of the stream, by sample index; lost audio is silence in it.

    Used by the pipeline's thread.
    """

    def __init__(self, capacity: int) -> None:
        self._ring: Array = np.zeros(capacity, np.float32)
        self._begin = self._end = 0

    def push(self, block: AudioBlock) -> None:
        """Take the audio that came, and silence for what did not."""
        lost = min(block.start_sample - self._end, len(self._ring))
        self._put(np.zeros(lost, np.float32), block.start_sample)
        self._put(block.samples[-len(self._ring) :], block.end_sample)

    def cut(self, start_sample: int, end_sample: int) -> tuple[int, Array]:
        """Return the audio that there still is between the two, with its first sample's index.

        The receiver owns the array.
        """
        start = max(start_sample, self._begin, self._end - len(self._ring))
        end = max(start, min(end_sample, self._end))
        return start, self._ring[np.arange(start, end) % len(self._ring)]

    def _put(self, samples: Array, end_sample: int) -> None:
        at = (end_sample - len(samples)) % len(self._ring)
        first = min(len(samples), len(self._ring) - at)
        self._ring[at : at + first] = samples[:first]
        self._ring[: len(samples) - first] = samples[first:]
        self._end = end_sample
