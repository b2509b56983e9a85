"""Frames of a network that depend on what is near them alone, so that windows can share them.

The graph then has an output `local` (B, W, F): F frames of the window. Its input `before`
(1, W, P), which may be left out, takes frames that are known already; they stand before those of
`features`, which may then be shorter than a window.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import SpecError

__all__ = ["BEFORE", "LOCAL", "LocalFrames"]

LOCAL, BEFORE = "local", "before"  # the graph's output and input


@dataclass(frozen=True, kw_only=True)
class LocalFrames:
    """Each of the frames depends on `span` frames of the features; the next begins `hop` later."""

    span: int
    hop: int

    def __post_init__(self) -> None:
        if not (type(self.span) is type(self.hop) is int and 0 < self.hop <= self.span):
            raise SpecError(f"span {self.span!r} and hop {self.hop!r}: need 0 < hop <= span")

    def count(self, frames: int) -> int:
        """Return how many there are of so many frames of features."""
        return 1 + (frames - self.span) // self.hop

    def stretch(self, count: int, new: int) -> slice:
        """Return the frames of a window's features that the `new` last of `count` depend on."""
        return slice((count - new) * self.hop, (count - 1) * self.hop + self.span)
