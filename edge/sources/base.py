"""The protocol of every source of audio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge.types import AudioBlock

__all__ = ["Source"]


class Source(Protocol):
    """One stream of mono audio at a fixed rate.

    `blocks` may wait for audio; the receiver owns the arrays that it gets.
    """

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples in the blocks."""
        ...

    def blocks(self) -> Iterator[AudioBlock]:
        """Yield blocks in order of `start_sample`, which jumps where audio was lost.

        The last one of a recording is marked `last`, and so is that of each stretch of one with
        gaps. A live source without audio yields blocks without samples, whose start has moved on.
        Raises `AudioError` when the source cannot be read any further.
        """
        ...
