"""Parts of a window, for networks that say when a label is present."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frames"]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """When in a window each label is present.

    `active` (T, K) says for each of T equal parts of `window_samples` whether label k is in it.
    """

    active: NDArray[np.bool_]
    window_samples: int

    def spans(self, k: int) -> Iterator[tuple[int, int]]:
        """Yield where label `k` begins and ends, each time that it is present.

        Both are samples from the start of the window, at the edges of its parts.
        """
        count = len(self.active)
        edges = np.flatnonzero(np.diff(self.active[:, k], prepend=False, append=False))
        for first, end in edges.reshape(-1, 2):
            yield (
                int(first) * self.window_samples // count,
                int(end) * self.window_samples // count,
            )

    @property
    def part_samples(self) -> int:
        """Length of a part."""
        return -(-self.window_samples // len(self.active))
