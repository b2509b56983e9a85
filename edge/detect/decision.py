"""How scores and novelty of a window become labels, for the model and for what smooths it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, ListMargin
from edge.bundle.probability import ScoreCalibration
from edge.types import Array, Novelties, Outcome, Prediction, Score

__all__ = ["REJECTED", "TOP", "Decision", "best", "outcome_of", "weighted"]

Mask = NDArray[np.bool_]
Known = TypeVar("Known", float, NDArray[np.float64])
TOP = 5  # labels named with each prediction
# The least novelty of a window without a label; it survives the rounding of the wire format.
REJECTED = 0.5 + 1e-6


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a bundle gives labels.

    `thresholds` (K,) are those of a bundle whose windows may carry several labels; else None.
    `animals` (K,) says which labels are species, None: all. `margin` is how far one that is not on
    a site's list may outdo those on it, among the labels `weighed` (K,), None: all.
    `leaves_room`: the scores of one label do not add up to 1, the rest is that of none of them.
    `calibration` says how likely a label is right, where the bundle does. An animal stands out in a
    window from a score of `animal_threshold` on; None: the bundle cannot tell, and whatever has no
    label is unknown.

    One label: the best, unless the window is rejected. Several: all that reach their thresholds,
    unless the window is rejected; where none does, it is rejected for that, and its novelty is the
    larger the farther all scores are from their thresholds.
    """

    labels: tuple[str, ...]
    thresholds: Array | None = None
    animals: Mask | None = None
    margin: ListMargin | None = None
    weighed: Mask | None = None
    leaves_room: bool = False
    calibration: ScoreCalibration | None = None
    animal_threshold: float | None = None

    @staticmethod
    def of(bundle: Bundle) -> Decision:
        """Return that of a bundle."""
        rule = bundle.manifest.animal
        return Decision(
            labels=tuple(label.label for label in bundle.labels),
            thresholds=bundle.label_thresholds,
            animals=np.array([label.kind == "animal" for label in bundle.labels], bool),
            margin=bundle.manifest.list_margin,
            leaves_room=bundle.manifest.activation == "softmax_other",
            calibration=bundle.calibration,
            animal_threshold=None if rule is None else rule.threshold,
        )

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Where each label stands among the scores."""
        return {label: k for k, label in enumerate(self.labels)}

    @cached_property
    def rivals(self) -> Mask:
        """Which labels (K,) the margin compares: species that are weighed."""
        rivals = np.ones(len(self.labels), bool)
        for some in (self.animals, self.weighed):
            rivals &= True if some is None else some
        return rivals

    @property
    def gives_one(self) -> bool:
        """Whether a window carries the best label or none, by one rule for all labels."""
        return self.thresholds is None

    def is_animal(self, label: str) -> bool:
        """Return whether a label is a species, and not another kind of sound."""
        return self.animals is None or bool(self.animals[self.index[label]])

    def outcome(self, p: Prediction) -> Outcome:
        """Return what a window is that was judged."""
        return outcome_of(p, is_animal=self.is_animal)

    def passes(self, scores: Array) -> Mask:
        """Return which labels (K,) would be given if there were no better one.

        One of several must reach its threshold. One alone must be as likely as none of them where
        the scores leave room for that; else it must have half of all.
        """
        if self.thresholds is not None:
            passing: Mask = scores >= self.thresholds
            return passing
        return scores >= (max(1.0 - float(scores.sum()), 0.0) if self.leaves_room else 0.5)

    def __call__(
        self,
        p: Prediction,
        *,
        scores: Array,
        novelty: float,
        accepted: bool,
        animal: float | None = None,
    ) -> Prediction:
        """Return `p` with these scores (K,) and this novelty, and what follows from them.

        `accepted`: the open-set rule does not reject the window. `animal` says how surely an animal
        stands out in it.
        """
        top = best(self.labels, scores)
        p = dataclasses.replace(
            p,
            top=top,
            scores=scores,
            novelty=novelty,
            animal=animal,
            stands_out=self.stands_out(animal),
        )
        if self.thresholds is not None:
            return self._several(p, self.thresholds, accepted=accepted)
        label = top[0].label if accepted else None
        return dataclasses.replace(
            p, label=label, others=(), nearest=top[0].label, score=top[0].score
        )

    def averaged(
        self, p: Prediction, *, scores: Array, novelties: Novelties, animal: float | None
    ) -> Prediction:
        """Return `p` with scores (K,) and results of the open-set rules (L,) of some windows.

        `animal` says how surely an animal stands out in them.
        """
        (novelty,) = map(float, novelties)
        accepted = novelty <= 0.5
        return self(p, scores=scores, novelty=novelty, accepted=accepted, animal=animal)

    def decided(
        self,
        p: Prediction,
        *,
        scores: Array,
        novelties: Novelties,
        accepted: bool,
        animal: float | None,
    ) -> Prediction:
        """Return `p` with what the open-set rules (L,) say of it, which accept it or not."""
        novelty = float(novelties[0])
        return self(p, scores=scores, novelty=novelty, accepted=accepted, animal=animal)

    def quiet(
        self,
        scores: Array,
        novelties: Novelties,
        accepted: Mask,
        animal: NDArray[np.float64] | None,
    ) -> Mask:
        """Return in which windows (B,) there is nothing: no label, and no animal stands out.

        Scores are (B, K), novelties (B, L), `accepted` and `animal` (B,).
        """
        if animal is None or self.animal_threshold is None:
            return np.zeros(len(scores), bool)
        quiet: Mask = animal < self.animal_threshold
        quiet &= ~self._labelled(scores, novelties, accepted)
        return quiet

    def _labelled(self, scores: Array, novelties: Novelties, accepted: Mask) -> Mask:
        """Return which windows (B,) have a label."""
        if self.thresholds is None:
            return accepted
        reached: Mask = np.asarray((scores >= self.thresholds).any(1))
        reached &= accepted
        return reached

    def weighs(self, p: Prediction) -> bool:
        """Return whether the margin is about what a window carries."""
        if self.margin is None or self.weighed is None:
            return self.margin is not None
        return p.label is not None and bool(self.weighed[self.index[p.label]])

    def stands_out(self, animal: float | None) -> bool:
        """Return whether an animal is sure enough to be unknown where there is no label."""
        return animal is None or self.animal_threshold is None or animal >= self.animal_threshold

    def _several(self, p: Prediction, thresholds: Array, *, accepted: bool) -> Prediction:
        reached = np.flatnonzero(p.scores >= thresholds)
        order = reached[np.argsort(-p.scores[reached], kind="stable")] if accepted else reached[:0]
        given = [Score(label=self.labels[i], score=float(p.scores[i])) for i in order]
        nearest = given[0] if given else p.top[0]
        novelty, open_novelty = p.novelty, None
        if accepted and not given:
            open_novelty = p.novelty
            novelty = max(novelty, 1.0 - 0.5 * float((p.scores / thresholds).max()), REJECTED)
        return dataclasses.replace(
            p,
            label=nearest.label if given else None,
            others=tuple(given[1:]),
            nearest=nearest.label,
            score=nearest.score,
            novelty=novelty,
            open_novelty=open_novelty,
        )


def outcome_of(p: Prediction, *, is_animal: Callable[[str], bool]) -> Outcome:
    """Return what a window is that was judged; with a species among its labels it is that."""
    if p.label is None:
        return "nothing" if p.is_nothing else "unknown"
    return "label" if any(is_animal(s.label) for s in p.accepted) else "other"


def weighted(values: Sequence[tuple[Known | None, float]]) -> Known | None:
    """Return the mean of values, or of arrays, with their weights; None where one is not known."""
    known = [(value, weight) for value, weight in values if value is not None]
    if not known or len(known) < len(values):
        return None
    (first, share), *others = known
    total, weight = first * share, share
    for value, share in others:
        total, weight = total + value * share, weight + share
    return total / weight


def best(labels: tuple[str, ...], scores: Array) -> tuple[Score, ...]:
    """Return the `TOP` labels of scores (K,), best first; ties in the order of the labels."""
    candidates = np.arange(len(scores))
    if len(scores) > TOP:  # to sort thousands of scores takes twenty times as long
        candidates = np.flatnonzero(scores >= np.partition(scores, -TOP)[-TOP])
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:TOP]
    return tuple(Score(label=labels[i], score=float(scores[i])) for i in order)
