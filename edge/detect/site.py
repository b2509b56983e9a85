"""Which species a site may have, and when.

A label that is not expected is reported as unknown, with the label as nearest; or the list is cut
first, and the best label that is left is reported where it passes by itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from edge.clock import Clock
from edge.detect.decision import REJECTED, Decision, Mask
from edge.detect.species_list import Species, SpeciesList
from edge.types import Array, Prediction, Score

__all__ = [
    "Expected",
    "OffList",
    "Site",
    "site_of",
]

# Takes from a prediction the labels that are not expected.
Expected = Callable[[Prediction], Prediction]
# What becomes of a window whose label is not on the list.
OffList = Literal["unknown", "next"]
LEAST = 2.0**-24  # of a score and of what it lacks to 1: float32 rounds both


class Site:
    """Withholds what is not expected.

    It is pure: the same prediction gives the same answer for as long as `clock_at` a sample does.
    A label counts as expected when its times of the year and those in which the window may lie,
    given the uncertainty of the clock, have one in common. So a clock that was never set withholds
    no label for its season, only labels that are not listed.

    With `off_list` unknown, an expected animal is withheld too where another outdoes it by more
    than the bundle's margin: what is heard is then rather an animal that the list lacks.
    """

    def __init__(
        self,
        species: Species,
        *,
        clock_at: Callable[[int], Clock],
        decision: Decision,
        off_list: OffList = "unknown",
    ) -> None:
        self._expected = species.expected
        self._calendar = species.calendar
        self._seasonal = any(parts != self._calendar.all for parts in self._expected.values())
        self._clock_at = clock_at
        self._decision = decision
        self._off_list = off_list
        self._listed: dict[frozenset[int], Mask] = {}

    def __call__(self, p: Prediction) -> Prediction:
        """Return `p`, or what is left of it.

        A withheld label is as novel here as it is familiar to the model, so above 0.5; with a
        margin, novelty is how far others outdo what is listed.
        """
        weighed = self._off_list == "unknown" and self._decision.weighs(p)
        if p.gated or (p.label is None and not weighed):
            return p
        listed = self._listed_at(p.start_sample)
        expected = tuple(s for s in p.accepted if listed[self._decision.index[s.label]])
        if weighed:
            return self._weighed(p, listed, expected)
        if self._off_list == "next":
            expected = expected or self._next(p, listed)
        return self._left_with(expected, p, novelty=max(1.0 - p.novelty, REJECTED))

    def _weighed(self, p: Prediction, listed: Mask, expected: tuple[Score, ...]) -> Prediction:
        """Return `p` with what is `expected`, but for animals that others outdo too far."""
        novelty = outdone(p.scores, listed, self._decision)
        if novelty > 0.5:
            rivals, index = self._decision.rivals, self._decision.index
            expected = tuple(s for s in expected if not rivals[index[s.label]])
        novelty = min(novelty, 0.5) if expected else max(novelty, REJECTED)
        return dataclasses.replace(self._left_with(expected, p, novelty=novelty), novelty=novelty)

    def _listed_at(self, sample: int) -> Mask:
        """Return which labels (K,) are expected when a window begins."""
        now = self._calendar.all
        if self._seasonal:
            now = self._calendar.parts_at(self._clock_at(sample), sample)
        if now not in self._listed:
            nowhere: frozenset[int] = frozenset()
            labels = self._decision.labels
            found = [not self._expected.get(name, nowhere).isdisjoint(now) for name in labels]
            self._listed = {now: np.array(found, bool)}
        return self._listed[now]

    def _next(self, p: Prediction, listed: Mask) -> tuple[Score, ...]:
        """Return the best of the listed labels, where it would be given without the others."""
        passing = listed & self._decision.passes(p.scores)
        if not passing.any():
            return ()
        k = int(np.where(passing, p.scores, -1).argmax())
        return (Score(label=self._decision.labels[k], score=float(p.scores[k])),)

    def _left_with(
        self, expected: tuple[Score, ...], p: Prediction, *, novelty: float
    ) -> Prediction:
        """Return `p` with the `expected` ones of its labels; without any, as new as `novelty` says.

        An animal that is withheld is one that is not known here, however surely it stands out.
        """
        if expected:
            return p if expected == p.accepted else p.carrying(expected)
        withheld = any(self._decision.is_animal(s.label) for s in p.accepted)
        return dataclasses.replace(
            p, label=None, others=(), novelty=novelty, stands_out=p.stands_out or withheld
        )


def outdone(scores: Array, listed: Mask, decision: Decision) -> float:
    """Return how far animals outdo those that are listed: a novelty in 0..1, above 0.5 too far.

    `scores` (K,) are those of labels that are judged each by itself; that there is nothing to hear
    has the score of the threshold. Other sounds are left out: an
    engine is heard beside an animal, not in its place.
    """
    margin, rivals = decision.margin, decision.rivals
    others, own = ~listed & rivals, listed & rivals
    if margin is None or not others.any() or not own.any():
        return 0.0
    k = int(np.where(own, scores, -1).argmax())
    nothing = np.float32(0.5) if decision.thresholds is None else decision.thresholds[k]
    difference = _logit(max(scores[others].max(), nothing)) - _logit(scores[k])
    return float(0.5 * (1 + np.tanh(0.5 * (difference - margin.threshold) / margin.scale)))


def _logit(score: np.float32) -> float:
    p = min(max(float(score), LEAST), 1 - LEAST)
    return math.log(p / (1 - p))


def site_of(
    *lists: Species | None,
    clock_at: Callable[[int], Clock],
    decision: Decision,
    off_list: OffList = "unknown",
) -> Expected:
    """Return what withholds all that is not on the first list that there is; without any, nothing
    is withheld. What only changes another list is none.
    """
    for species in lists:
        if species is not None and not (isinstance(species, SpeciesList) and species.is_change):
            return Site(species, clock_at=clock_at, decision=decision, off_list=off_list)
    return lambda p: p
