"""A source that plays an array, with losses where a test wants them.

It is the fake of the source contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.types import Array, AudioBlock

__all__ = ["ArraySource"]


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """Plays `runs` of samples, each from its start sample.

    Blocks have the `sizes`, over and over.
    """

    runs: Sequence[tuple[int, Array]]
    sample_rate_hz: int
    sizes: Sequence[int] = (1000,)

    def blocks(self) -> Iterator[AudioBlock]:
        count = 0
        for i, (start, samples) in enumerate(self.runs):
            at = 0
            while at < len(samples):
                size = self.sizes[count % len(self.sizes)]
                count += 1
                part = samples[at : at + size]
                last = i == len(self.runs) - 1 and at + size >= len(samples)
                yield AudioBlock(
                    start_sample=start + at,
                    samples=part,
                    sample_rate_hz=self.sample_rate_hz,
                    last=last,
                )
                at += size
