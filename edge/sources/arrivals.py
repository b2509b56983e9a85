"""Count samples against the monotonic clock: a shortfall that does not catch up is lost audio.

A sound system says little about what it lost. Samples that come late are harmless, they wait in
some buffer; samples that never come show as a lateness that stays. While that is undecided, what
arrives is held back, because the hole may be anywhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.sources.ring import Chunk
from edge.types import Array

__all__ = ["Arrivals", "Piece"]

TOLERANCE_S = 0.15  # what buffers may delay
SETTLE_S = 1.0  # how long a lateness must stay to be a loss
SHRUNK_S = 0.02  # a lateness that shrinks by less stays
DRIFT = 500e-6  # how far off a sound card's crystal may be, as a share, without being a loss


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Unbroken samples (n,) and what is missing before them.

    The system lost `lost_frames`; `dropped_frames` were overwritten, because inference was late.
    """

    samples: Array
    lost_frames: int = 0
    dropped_frames: int = 0


class Arrivals:
    """The judge of one stream's chunks, in order.

    Lateness is in seconds behind the earliest recent arrival. One above `TOLERANCE_S` that has not
    shrunk for `SETTLE_S` is a loss.
    """

    def __init__(self, *, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._frames = 0  # on the timeline, the missing ones included
        self._baseline_s: float | None = None
        self._steady_s = 0.0
        self._held: list[Chunk] = []
        self._least_s = 0.0
        self._improved_s = 0.0

    @property
    def arrived_until_s(self) -> float:
        """Monotonic time at which the last frame on the timeline arrived, any delay left out."""
        return (self._baseline_s or 0.0) + self._frames / self._rate_hz

    def push(self, chunk: Chunk) -> Iterator[Piece]:
        """Yield what is unbroken for certain now that `chunk` has arrived."""
        lost = 0
        if chunk.dropped_frames:
            lost = self._discard()
            self._frames += chunk.dropped_frames
        self._frames += len(chunk.samples)
        late_s = self._lateness_s(chunk.arrival_s)
        if chunk.overflow:
            held = self._discard()
            missing = max(1, round(late_s * self._rate_hz)) if late_s > TOLERANCE_S else 1
            self._frames += missing
            lost += held + missing
            late_s = self._lateness_s(chunk.arrival_s)
        if lost or chunk.dropped_frames:
            yield Piece(
                samples=chunk.samples, lost_frames=lost, dropped_frames=chunk.dropped_frames
            )
            return
        if late_s <= TOLERANCE_S:
            self._follow(chunk.arrival_s, late_s)
            yield from (Piece(samples=late.samples) for late in self._held)
            self._held = []
            yield Piece(samples=chunk.samples)
            return
        yield from self._suspect(chunk, late_s)

    def _lateness_s(self, arrival_s: float) -> float:
        due_s = arrival_s - self._frames / self._rate_hz
        if self._baseline_s is None:
            self._baseline_s, self._steady_s = due_s, arrival_s
        self._baseline_s = min(self._baseline_s, due_s)
        return due_s - self._baseline_s

    def _follow(self, arrival_s: float, late_s: float) -> None:
        """Have the baseline drift with the crystals, slower than any loss."""
        assert self._baseline_s is not None
        self._baseline_s += min(late_s, DRIFT * (arrival_s - self._steady_s))
        self._steady_s = arrival_s

    def _suspect(self, chunk: Chunk, late_s: float) -> Iterator[Piece]:
        """Yield a loss once the lateness has settled; until then `chunk` is held back."""
        if not self._held or late_s < self._least_s - SHRUNK_S:
            self._least_s, self._improved_s = late_s, chunk.arrival_s
        self._held.append(chunk)
        if chunk.arrival_s - self._improved_s >= SETTLE_S:
            missing = round(self._least_s * self._rate_hz)
            self._frames += missing
            yield Piece(samples=chunk.samples[:0], lost_frames=self._discard() + missing)

    def _discard(self) -> int:
        """Discard what is held; return the number of its frames."""
        count = sum(len(chunk.samples) for chunk in self._held)
        self._held = []
        return count
