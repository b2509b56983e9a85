"""Blocks of any size in, windows every hop out; a window never spans lost audio."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge.bundle import FrontendSpec
from edge.errors import ConfigError
from edge.types import AudioBlock, Window

__all__ = ["Windower", "windower_of"]


class Windower:
    """Cuts a stream into windows of `window_samples` every `hop_samples`.

    They are the same ones for any partition of the stream into blocks.

    Where the audio ends (a lost sample, or the last block) a window aligned to that end covers what
    no window has covered yet. A recording shorter than one window is looped from its beginning
    (Thakur et al. 2019); so little audio between two gaps is skipped and counted in
    `skipped_samples`.
    """

    def __init__(self, *, window_samples: int, hop_samples: int, sample_rate_hz: int) -> None:
        if not 0 < hop_samples <= window_samples:
            window_s = window_samples / sample_rate_hz
            raise ConfigError(
                f"must be above 0 and at most the window of {window_s:g} s",
                key="hop_s",
                value=f"{hop_samples / sample_rate_hz:g}",
            )
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        self.sample_rate_hz = sample_rate_hz
        self.skipped_samples = 0
        self._buffer = np.empty(2 * window_samples, np.float32)
        self._begin(0)

    def push(self, block: AudioBlock) -> Iterator[Window]:
        """Yield the windows that `block` completes.

        Raises ValueError for a block of another rate, or one that goes back in time.
        """
        if block.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(
                f"a block at {block.sample_rate_hz} Hz, expected {self.sample_rate_hz} Hz"
            )
        if block.start_sample < self._end:
            raise ValueError(
                f"a block starts at sample {block.start_sample}, before the end {self._end} of "
                "the one before it"
            )
        if block.start_sample > self._end:
            yield from self._finish(loop=False)
            self._begin(block.start_sample)
        for offset in range(0, len(block.samples), self.window_samples):
            yield from self._append(block.samples[offset : offset + self.window_samples])
        if block.last:
            yield from self._finish(loop=True)
            self._begin(block.end_sample)

    def _begin(self, start_sample: int) -> None:
        """Start a run of unbroken audio."""
        self._run_start = self._next = self._covered = self._end = start_sample
        self._fill = 0

    def _append(self, samples: np.typing.NDArray[np.float32]) -> Iterator[Window]:
        window = self.window_samples
        if self._fill > window:
            # The last window's worth is all that a window to come can still need, the final one
            # included.
            self._buffer[:window] = self._buffer[self._fill - window : self._fill]
            self._fill = window
        self._buffer[self._fill : self._fill + len(samples)] = samples
        self._fill += len(samples)
        self._end += len(samples)
        while self._next + window <= self._end:
            yield self._cut(self._next)
            self._next += self.hop_samples

    def _cut(self, start_sample: int) -> Window:
        offset = self._fill - (self._end - start_sample)
        end_sample = self._covered = start_sample + self.window_samples
        samples = self._buffer[offset : offset + self.window_samples].copy()
        return Window(
            start_sample=start_sample,
            end_sample=end_sample,
            samples=samples,
            sample_rate_hz=self.sample_rate_hz,
        )

    def _finish(self, *, loop: bool) -> Iterator[Window]:
        samples_of_run = self._end - self._run_start
        if self._end == self._covered:
            return
        if samples_of_run >= self.window_samples:
            yield self._cut(self._end - self.window_samples)
        elif loop:
            samples = np.resize(self._buffer[:samples_of_run], self.window_samples)
            yield Window(
                start_sample=self._run_start,
                end_sample=self._end,
                samples=samples,
                sample_rate_hz=self.sample_rate_hz,
            )
        else:
            self.skipped_samples += samples_of_run


def windower_of(spec: FrontendSpec, hop_s: float) -> Windower:
    """Return the windower of a bundle's frontend; raises `ConfigError` for a hop that cannot be."""
    return Windower(
        window_samples=spec.window_samples,
        hop_samples=round(hop_s * spec.sample_rate_hz),
        sample_rate_hz=spec.sample_rate_hz,
    )
