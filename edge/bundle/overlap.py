"""Windows that overlap have frames in common: what a frame gives is computed once for all of them.

Frames of two windows coincide where the hop between them is a multiple of the frames' own. What is
not padded and not scaled then depends on the samples of the frame alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.bundle.channels import REAL
from edge.bundle.spec import FrontendSpec

__all__ = ["FrameMemory", "Frames", "shared_hop"]

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of a window: `count` of them, one every `hop_length` samples.

    Those from `first` up to, but not with, `stop` lie within the window; padding is in the others.
    """

    count: int
    hop_length: int
    first: int
    stop: int

    @staticmethod
    def of(samples: int, *, n_fft: int, hop_length: int, centred: bool) -> Frames:
        """Return the frames of a window of so many samples."""
        before = n_fft // 2 if centred else 0
        within = samples - n_fft
        return Frames(
            count=1 + (max(within, 0) + 2 * before) // hop_length,
            hop_length=hop_length,
            first=-(-before // hop_length),
            stop=1 + (within + before) // hop_length,
        )


def shared_hop(spec: FrontendSpec) -> int | None:
    """Return the least number of samples between windows that have all their frames in common.

    Windows that are multiples of it apart have them, too. None where a window is never that long,
    or scales its samples before it makes frames of them.
    """
    if spec.is_waveform:
        return None
    if spec.scaling != "none" and any(channel.component != REAL for channel in spec.channels):
        return None
    hop = math.lcm(*{channel.hop_length or spec.hop_length for channel in spec.channels})
    return hop if hop < spec.window_samples else None


@dataclass(frozen=True)
class _Window:
    """A window that has samples in common with the one before, or has none: `shift` is 0."""

    samples: Array
    start_sample: int
    before: _Window | None

    @cached_property
    def shift(self) -> int:
        """How many samples after the one before it begins."""
        before = self.before
        if before is None or len(before.samples) != len(self.samples):
            return 0
        shift = self.start_sample - before.start_sample
        if not 0 < shift < len(self.samples):
            return 0
        # Another recording, or the same place of one whose clock was set anew.
        same = np.array_equal(before.samples[shift:], self.samples[:-shift])
        return shift if same else 0


class FrameMemory:
    """What the frames of the window before gave. Of one stream of windows, used by one thread.

    Windows are known again by their samples, which must not be changed afterwards.
    """

    def __init__(self) -> None:
        self._window: _Window | None = None
        self._values: dict[str, Array] = {}
        self._values_before: dict[str, Array] = {}

    def begin(self, samples: Array, *, start_sample: int) -> FrameMemory:
        """Take up the next window, which starts at `start_sample` of its stream; return self."""
        before = self._window
        if before is not None:
            before = _Window(before.samples, before.start_sample, None)
        self._window = _Window(samples, start_sample, before)
        self._values_before, self._values = self._values, {}
        return self

    @property
    def shift_samples(self) -> int:
        """How far after the window before this one begins; 0: they have nothing in common."""
        return 0 if self._window is None else self._window.shift

    def values(self, name: str, frames: Frames, compute: Callable[[slice], Array]) -> Array:
        """Return what `compute` gives for all `frames`, (values, frames), asked for the new only.

        `name` says what it is. It must depend on nothing but a frame's own samples.
        """
        self._values[name] = values = self._found(name, frames, compute)
        return values

    def _found(self, name: str, frames: Frames, compute: Callable[[slice], Array]) -> Array:
        before = self._values_before.get(name)
        if before is not None and self._window is not None and (shift := self._window.shift):
            moved, remainder = divmod(shift, frames.hop_length)
            stop = frames.stop - moved
            if remainder == 0 and frames.first < stop:
                known = before[:, frames.first + moved : frames.stop]
                new = slice(0, frames.first), slice(stop, frames.count)
                start, end = ([compute(part)] if part.start < part.stop else [] for part in new)
                # None of them is empty: that would decide the order of the numbers in memory, and
                # with it the rounding of what is computed from them.
                return np.concatenate([*start, known, *end], axis=1)
        return compute(slice(frames.count))
