"""From scores and novelty to the labels of a window, in one place: for what the model says, and for
what smoothing makes of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edge.types import Array, Prediction, Score

__all__ = ["REJECTED", "TOP", "Decision", "best"]

TOP = 5  # labels named with each prediction
# the least novelty of a window without a label; survives the rounding of the wire format
REJECTED = 0.5 + 1e-6


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a bundle gives labels by. `thresholds` (K,) are those of a bundle whose windows may
    carry several labels; else None.

    One label: the best, unless the window is rejected. Several: all that reach their thresholds,
    unless the window is rejected; where none does, it is rejected for that, and its novelty is the
    larger the farther all scores are from their thresholds.
    """

    labels: tuple[str, ...]
    thresholds: Array | None = None

    def __call__(
        self, p: Prediction, *, scores: Array, novelty: float, accepted: bool
    ) -> Prediction:
        """`p` with these scores (K,) and this novelty, `accepted` by the open-set rule, and what
        follows from them.
        """
        top = best(self.labels, scores)
        if self.thresholds is not None:
            return self._several(p, self.thresholds, scores, novelty, top, accepted=accepted)
        label = top[0].label if accepted else None
        return dataclasses.replace(
            p,
            label=label,
            nearest=top[0].label,
            score=top[0].score,
            novelty=novelty,
            top=top,
            scores=scores,
        )

    def _several(
        self,
        p: Prediction,
        thresholds: Array,
        scores: Array,
        novelty: float,
        top: tuple[Score, ...],
        *,
        accepted: bool,
    ) -> Prediction:
        reached = np.flatnonzero(scores >= thresholds)
        own = None
        if accepted and not len(reached):
            own, novelty = (
                novelty,
                max(novelty, 1.0 - 0.5 * float((scores / thresholds).max()), REJECTED),
            )
        order = reached[np.argsort(-scores[reached], kind="stable")] if accepted else reached[:0]
        first, *others = [Score(label=self.labels[i], score=float(scores[i])) for i in order] or [
            top[0]
        ]
        label = first.label if len(order) else None
        return dataclasses.replace(
            p,
            label=label,
            others=tuple(others),
            nearest=first.label,
            score=first.score,
            novelty=novelty,
            open_novelty=own,
            top=top,
            scores=scores,
        )


def best(labels: tuple[str, ...], scores: Array) -> tuple[Score, ...]:
    """The `TOP` labels of scores (K,), best first; ties in the order of the labels."""
    order = np.argsort(-scores, kind="stable")[:TOP]
    return tuple(Score(label=labels[i], score=float(scores[i])) for i in order)
