"""An event while it lasts: what is known of it, and how it is given out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from edge.detect.narrowing import Edges
from edge.types import Detection, EventState, Prediction

__all__ = ["Part", "digest_of"]


def digest_of(name: str) -> str:
    """Return the id of an event that `name` names."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@dataclass(kw_only=True)
class Part:
    """An event; `announced` once its state `new` has been given out.

    `first` and `last` are the starts of its first and last window, `held` is where the label is
    known to be present: from the earliest start to the latest end of its calls. By scores, either
    stands for one side of the call only, and the end may lie before the start.
    """

    id: str
    peak: Prediction
    first: int
    last: int
    end_sample: int
    windows: set[int] = field(default_factory=set)
    held: tuple[int, int] | None = None
    announced: bool = False
    given_out_sample: int = 0

    def add(self, p: Prediction) -> None:
        """Take in one of its windows."""
        start, end = p.start_sample, p.end_sample
        self.first = min(self.first, start)
        self.last = max(self.last, start)
        self.end_sample = max(self.end_sample, end)
        self.windows.add(start)
        if p.strength > self.peak.strength:
            self.peak = p

    def hold(self, start_sample: int, end_sample: int) -> None:
        """Note that the label is present."""
        start, end = self.held or (start_sample, end_sample)
        self.held = min(start, start_sample), max(end, end_sample)

    def absorb(self, later: Part) -> None:
        """Become one with a part that has not been given out."""
        self.add(later.peak)
        self.first, self.last = min(self.first, later.first), max(self.last, later.last)
        self.end_sample = max(self.end_sample, later.end_sample)
        self.windows |= later.windows
        if later.held is not None:
            self.hold(*later.held)

    def detection(self, state: EventState, edges: Edges | None) -> Detection:
        """Return it as it is known now, between its windows' edges where there are no others."""
        peak, rate_hz = self.peak, self.peak.sample_rate_hz
        assert peak.nearest is not None  # gated predictions never join an event
        return Detection(
            id=self.id,
            state=state,
            label=peak.label,
            nearest=peak.nearest,
            score=peak.score,
            novelty=peak.novelty,
            top=peak.top,
            start_sample=self.first if edges is None else edges.start_sample,
            end_sample=self.end_sample if edges is None else edges.end_sample,
            peak_sample=peak.start_sample,
            sample_rate_hz=rate_hz,
            windows=len(self.windows),
            health=peak.health,
            embedding=peak.embedding,
            animal=peak.animal,
            start_uncertainty_s=None if edges is None else edges.start_uncertainty / rate_hz,
            end_uncertainty_s=None if edges is None else edges.end_uncertainty / rate_hz,
        )
