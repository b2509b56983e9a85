"""How several heads on one trunk, and the trunk itself, decide together on a window."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edge.detect.decision import REJECTED, Decision, Mask, best
from edge.types import Array, Novelties, Prediction

__all__ = ["LayerDecision", "LayeredDecision"]


@dataclass(frozen=True, kw_only=True)
class LayerDecision:
    """How one head, or the trunk itself, decides on its labels, from `start` to `end` of all."""

    decision: Decision
    start: int
    end: int
    is_trunk: bool

    def __call__(self, p: Prediction, scores: Array, novelty: float) -> Prediction:
        own = scores[self.start : self.end]
        return self.decision(p, scores=own, novelty=novelty, accepted=novelty <= 0.5)


@dataclass(frozen=True, kw_only=True)
class LayeredDecision(Decision):
    """How the layers decide together, by all scores (K,) and one novelty of each layer (L,).

    A window carries what the heads give, best score first; each that accepts it gives its own.
    Where none does, it carries what the trunk gives. Its novelty is the least of those who gave a
    label; where nobody did, that of who was nearest to it, whose best label is the nearest.
    """

    layers: tuple[LayerDecision, ...]

    @property
    def gives_one(self) -> bool:
        """See `Decision.gives_one`: each layer has a rule."""
        return False

    def __call__(
        self,
        p: Prediction,
        *,
        scores: Array,
        novelty: float,
        accepted: bool,
        animal: float | None = None,
    ) -> Prediction:
        """Return `p` as if it were as novel to each layer."""
        each = np.full(len(self.layers), novelty if accepted else max(novelty, REJECTED))
        return self.averaged(p, scores=scores, novelties=each, animal=animal)

    def averaged(
        self, p: Prediction, *, scores: Array, novelties: Novelties, animal: float | None
    ) -> Prediction:
        """See `Decision.averaged`."""
        pairs = zip(self.layers, map(float, novelties), strict=True)
        verdicts = [(layer.is_trunk, layer(p, scores, novelty)) for layer, novelty in pairs]
        p = dataclasses.replace(
            p,
            top=best(self.labels, scores),
            scores=scores,
            novelties=novelties,
            open_novelty=None,
            animal=animal,
            stands_out=self.stands_out(animal),
        )
        giving = [v for is_trunk, v in verdicts if v.label is not None and not is_trunk]
        giving = giving or [v for _, v in verdicts if v.label is not None]
        if giving:
            given = sorted((s for v in giving for s in v.accepted), key=lambda s: -s.score)
            novelty = min(v.novelty for v in giving)
            return dataclasses.replace(p.carrying(tuple(given)), novelty=novelty)
        nearest = min((v for _, v in verdicts), key=lambda v: v.novelty)
        return dataclasses.replace(
            p,
            label=None,
            others=(),
            nearest=nearest.nearest,
            score=nearest.score,
            novelty=nearest.novelty,
        )

    def decided(
        self,
        p: Prediction,
        *,
        scores: Array,
        novelties: Novelties,
        accepted: bool,
        animal: float | None,
    ) -> Prediction:
        """See `Decision.decided`; each layer accepts for itself."""
        return self.averaged(p, scores=scores, novelties=novelties, animal=animal)

    def _labelled(self, scores: Array, novelties: Novelties, accepted: Mask) -> Mask:
        found = np.zeros(len(scores), bool)
        for layer, novelty in zip(self.layers, novelties.T, strict=True):
            own = scores[:, layer.start : layer.end]
            found |= layer.decision._labelled(own, novelty[:, np.newaxis], novelty <= 0.5)
        return found

    def passes(self, scores: Array) -> Mask:
        """See `Decision.passes`; each label among those of its layer."""
        passing = [layer.decision.passes(scores[layer.start : layer.end]) for layer in self.layers]
        return np.concatenate(passing)
