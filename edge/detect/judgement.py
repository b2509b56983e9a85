"""What a classifier says of many windows at once, before any has a label."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.detect.decision import Decision, Mask
from edge.types import Array, Frames, Novelties, Prediction

__all__ = ["Judgement"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one network or several, with their heads, say of B windows.

    Scores (B, K) and embedding (B, D) are float32, novelties (B, L) float64, one by each open-set
    rule. `accepted` (B,): no rule rejects the window. `animal` (B,) float64 says how surely an
    animal stands out, where that can be told. `overheard` (B, N) are the best scores of any
    network, of heads those of their trunk, where they were asked for. `active` (B, T, K) says which
    labels are present in each of T parts of `window_samples`.

    A row is the same whatever rows are judged together.
    """

    scores: Array
    novelties: Novelties
    accepted: Mask
    embedding: Array
    animal: NDArray[np.float64] | None = None
    overheard: Array | None = None
    active: Mask | None = None
    window_samples: int = 0

    def prediction(self, p: Prediction, i: int, decision: Decision) -> Prediction:
        """Return window `p`, which is row `i`, with what `decision` makes of it."""
        p = dataclasses.replace(
            p,
            embedding=self.embedding[i],
            frames=self.frames(i),
            highest=None if self.overheard is None else self.overheard[i],
        )
        return self.decided(p, i, decision)

    def decided(self, p: Prediction, i: int, decision: Decision) -> Prediction:
        """Return `p` with what `decision` makes of row `i`."""
        return decision.decided(
            p,
            scores=self.scores[i],
            novelties=self.novelties[i],
            accepted=bool(self.accepted[i]),
            animal=self.animal_score(i),
        )

    def frames(self, i: int) -> Frames | None:
        """Return when in window `i` each label is present, where that is known."""
        if self.active is None:
            return None
        return Frames(active=self.active[i], window_samples=self.window_samples)

    def animal_score(self, i: int) -> float | None:
        """Return how surely an animal stands out in window `i`, where that can be told."""
        return None if self.animal is None else float(self.animal[i])
