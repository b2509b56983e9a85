"""The last minutes of the card's own sound, kept so that the sound of an event can be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.sources.callbacks import CardAudio
from edge.types import Array

__all__ = ["Excerpt", "RecentAudio"]

Pcm = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Sound as the card gave it: the parts (n,) of it in order, at the card's `sample_rate_hz`.

    The parts are views, which hold until the next sound comes. `start_sample` is where it begins in
    the stream of the blocks, at the rate of those.
    """

    parts: tuple[Pcm, ...]
    sample_rate_hz: int
    start_sample: int

    @property
    def length(self) -> int:
        """Samples, at the card's rate."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, kw_only=True)
class _Section:
    """A part of the stream at one rate of the card, from its `first` kept sample on."""

    first: int
    start_sample: int
    sample_rate_hz: int


class RecentAudio:
    """The last sound of a stream of `stream_rate_hz`, as 16 bit at the rate of the card.

    `capacity` says how many samples of a rate are kept. Lost audio is silence. Used by the
    pipeline's thread.
    """

    def __init__(self, *, stream_rate_hz: int, capacity: Callable[[int], int]) -> None:
        self._stream_rate_hz = stream_rate_hz
        self._capacity = capacity
        self._ring: Pcm = np.zeros(0, np.int16)
        self._end = 0  # how many samples were ever kept, silence included
        self._oldest = 0  # the first of them that the present ring has held
        self._sections: list[_Section] = []  # oldest first; a new one where the rate changes

    @property
    def size_bytes(self) -> int:
        """Memory that is taken."""
        return self._ring.nbytes

    def push(self, audio: CardAudio) -> None:
        """Keep what the card gave, after silence for what it did not."""
        if audio.start_sample is not None:
            self._begin(audio.start_sample, audio.sample_rate_hz)
        pcm = as_pcm(audio.samples[-len(self._ring) :])
        self._end += len(audio.samples) - len(pcm)
        self._put(pcm)

    def cut(self, start_sample: int, end_sample: int) -> Excerpt | None:
        """Return the sound that there still is between two samples of the stream.

        It has one rate: where the card's changed in between, it is the longer part. None where
        nothing is left.
        """
        found = [self._within(i, start_sample, end_sample) for i in range(len(self._sections))]
        whole = [excerpt for excerpt in found if excerpt.length]
        return max(whole, key=lambda e: e.length / e.sample_rate_hz, default=None)

    def _begin(self, start_sample: int, rate_hz: int) -> None:
        """Note that the sound goes on at a sample of the stream, after a loss or at first."""
        if not self._sections or self._sections[-1].sample_rate_hz != rate_hz:
            self._grow(self._capacity(rate_hz))
            ended = pairwise(self._sections)
            held = [section for section, after in ended if after.first > self._first_held]
            fresh = _Section(first=self._end, start_sample=start_sample, sample_rate_hz=rate_hz)
            self._sections = [*held, *self._sections[-1:], fresh]
            return
        lost = max(0, self._place(self._sections[-1], start_sample) - self._end)
        held_of_it = min(lost, len(self._ring))
        self._end += lost - held_of_it
        self._put(np.zeros(held_of_it, np.int16))

    @property
    def _first_held(self) -> int:
        return max(self._oldest, self._end - len(self._ring))

    def _grow(self, capacity: int) -> None:
        """Make room for a card of a higher rate; what is held stays."""
        if capacity <= len(self._ring):
            return
        held = self._view(self._first_held, self._end)
        self._end = self._oldest = self._first_held
        self._ring = np.zeros(capacity, np.int16)
        for part in held:
            self._put(part)

    def _within(self, index: int, start_sample: int, end_sample: int) -> Excerpt:
        section = self._sections[index]
        later = self._sections[index + 1 :]
        border = later[0].first if later else self._end
        first = max(section.first, self._first_held)
        start = min(max(self._place(section, start_sample), first), border)
        end = min(max(self._place(section, end_sample), start), border)
        after = round((start - section.first) * self._stream_rate_hz / section.sample_rate_hz)
        return Excerpt(
            parts=self._view(start, end),
            sample_rate_hz=section.sample_rate_hz,
            start_sample=section.start_sample + after,
        )

    def _place(self, section: _Section, sample: int) -> int:
        """Return which kept sample was captured with a sample of the stream."""
        seconds = (sample - section.start_sample) / self._stream_rate_hz
        return section.first + round(seconds * section.sample_rate_hz)

    def _put(self, pcm: Pcm) -> None:
        """Keep samples, at most as many as the ring holds, in the place of the oldest."""
        self._end += len(pcm)
        at = 0
        for part in self._view(self._end - len(pcm), self._end):
            part[:] = pcm[at : at + len(part)]
            at += len(part)

    def _view(self, start: int, end: int) -> tuple[Pcm, ...]:
        if start == end:
            return ()
        at, count = start % len(self._ring), end - start
        first = min(count, len(self._ring) - at)
        return self._ring[at : at + first], self._ring[: count - first]


def as_pcm(samples: Array) -> Pcm:
    """Return samples as whole numbers, scaled by 32768.

    What came as 16 bit leaves as the same numbers; libsndfile would scale by 32767.
    """
    # NaN becomes silence: a driver's fault must not cost the clip.
    scaled = np.rint(np.nan_to_num(samples) * np.float32(32768))
    pcm: Pcm = np.clip(scaled, -32768, 32767).astype(np.int16)
    return pcm
