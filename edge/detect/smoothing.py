"""Scores of a window smoothed by those around it, between model and tracker (Shugayev et al. 2021).

A sliding average, p(t) = 0.5 p(t) + 0.25 p(t - d) + 0.25 p(t + d), and a boost of labels that
scored well a while ago. The paper boosts by the whole recording, which a recorder cannot. Both are
counted in samples of audio: scores between two windows are those of the line between them, so that
the hop hardly matters. Whatever breaks the stream, lost audio or a dead microphone, breaks both:
nothing is carried over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from edge.detect.decision import Decision, weighted
from edge.section import Section
from edge.types import Array, Novelties, Prediction

__all__ = [
    "NoSmoothing",
    "SlidingAverage",
    "Smoothing",
    "SmoothingConfig",
    "smoothing_of",
    "with_neighbours",
]

PASSED = 0.5  # a label with a score above it is boosted afterwards
NEVER = -(2**62)


class SmoothingConfig(Section):
    """How scores are smoothed over time; the defaults do nothing.

    `slide_s` is d of the sliding average, 0: none. `boost` is the factor of the scores for
    `boost_s` after one above 0.5, 1: none.
    """

    slide_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    boost: Annotated[float, Field(ge=1, le=10)] = 1.0
    boost_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0

    @property
    def on(self) -> bool:
        """Whether it changes anything."""
        return self.slide_s > 0 or self.boost > 1


class Smoothing(Protocol):
    """Predictions in, as many out, in their order, perhaps later. One stream, one thread."""

    def push(self, prediction: Prediction) -> Iterable[Prediction]:
        """Take the next window's prediction; give out those that are settled now."""
        ...

    def flush(self) -> Iterable[Prediction]:
        """Give out the rest: the stream has ended."""
        ...


class NoSmoothing:
    """Gives out every prediction as it came."""

    def push(self, prediction: Prediction) -> Iterable[Prediction]:
        """See `Smoothing.push`."""
        return (prediction,)

    def flush(self) -> Iterable[Prediction]:
        """See `Smoothing.flush`."""
        return ()


@dataclass(frozen=True, kw_only=True)
class _Average:
    """What is averaged of windows: scores (K,), novelties (L,), and whether there is an animal."""

    scores: Array
    novelties: Novelties
    animal: float | None

    @staticmethod
    def of(p: Prediction) -> _Average:
        """Return that of one window."""
        return _Average(scores=p.scores, novelties=p.rule_novelties, animal=p.animal)


class SlidingAverage:
    """Works `slide_s` behind the model, because the average needs what comes after."""

    def __init__(self, *, decision: Decision, config: SmoothingConfig, sample_rate_hz: int) -> None:
        self._decision = decision
        self._boost = config.boost
        self._slide = round(config.slide_s * sample_rate_hz)
        self._boost_samples = round(config.boost_s * sample_rate_hz)
        self._begin()

    def push(self, prediction: Prediction) -> Iterator[Prediction]:
        """See `Smoothing.push`."""
        if self._run and (
            prediction.health.gated or prediction.start_sample > self._run[-1].end_sample
        ):
            yield from self.flush()
        if prediction.health.gated:
            yield prediction
            return
        self._run.append(prediction)
        while (
            self._next < len(self._run)
            and self._run[self._next].start_sample + self._slide <= prediction.start_sample
        ):
            yield self._smoothed()

    def flush(self) -> Iterator[Prediction]:
        """See `Smoothing.flush`."""
        while self._next < len(self._run):
            yield self._smoothed()
        self._begin()

    def _begin(self) -> None:
        """Start a run of unbroken audio."""
        self._run: list[Prediction] = []
        self._next = 0  # in the run, to be settled
        # (K,) start of the last window whose score passed
        self._passed = np.full(len(self._decision.labels), NEVER, np.int64)

    def _smoothed(self) -> Prediction:
        p = self._run[self._next]
        average = self._average(p) if self._slide else _Average.of(p)
        scores = average.scores
        if self._boost > 1:
            scores = self._boosted(p.start_sample, scores)
        self._forget(p.start_sample - self._slide)
        if scores is p.scores:
            return p
        return self._decision.averaged(
            p, scores=scores, novelties=average.novelties, animal=average.animal
        )

    def _average(self, p: Prediction) -> _Average:
        """Average with those of the two neighbours that there are; without either, it is `p`."""
        neighbours = [self._at(p.start_sample + offset) for offset in (-self._slide, self._slide)]
        around = [neighbour for neighbour in neighbours if neighbour is not None]
        if not around:
            return _Average.of(p)
        weight = 0.5 + 0.25 * len(around)
        total = 0.5 * p.scores.astype(np.float64) + 0.25 * sum(near.scores for near in around)
        novelties = 0.5 * p.rule_novelties + 0.25 * sum(near.novelties for near in around)
        return _Average(
            scores=(total / weight).astype(np.float32),
            novelties=novelties / weight,
            animal=weighted([(p.animal, 0.5), *((near.animal, 0.25) for near in around)]),
        )

    def _at(self, sample: int) -> _Average | None:
        """Return what a window would have that starts at `sample`.

        None outside the run. Between two windows they are on the line from one to the other.
        """
        after = next((i for i, p in enumerate(self._run) if p.start_sample >= sample), None)
        if after is None or (after == 0 and self._run[0].start_sample > sample):
            return None
        b = self._run[after]
        if b.start_sample == sample:
            return _Average.of(b)
        a = self._run[after - 1]
        share = (sample - a.start_sample) / (b.start_sample - a.start_sample)
        scores = a.scores + np.float32(share) * (b.scores - a.scores)
        return _Average(
            scores=scores,
            novelties=a.rule_novelties + share * (b.rule_novelties - a.rule_novelties),
            animal=weighted([(a.animal, 1 - share), (b.animal, share)]),
        )

    def _boosted(self, sample: int, scores: Array) -> Array:
        self._passed[scores > PASSED] = sample
        recent = sample - self._passed <= self._boost_samples
        if not recent.any():
            return scores
        boosted = np.minimum(scores * np.float32(self._boost), 1)
        result: Array = np.where(recent, boosted, scores).astype(np.float32)
        return result

    def _forget(self, sample: int) -> None:
        """Note that the window is settled, and drop those before `sample` but for the last."""
        self._next += 1
        older = sum(p.start_sample <= sample for p in self._run[: self._next]) - 1
        if older > 0:
            del self._run[:older]
            self._next -= older


def smoothing_of(config: SmoothingConfig, *, decision: Decision, sample_rate_hz: int) -> Smoothing:
    """Return the smoothing that `config` asks for."""
    if not config.on:
        return NoSmoothing()
    return SlidingAverage(decision=decision, config=config, sample_rate_hz=sample_rate_hz)


def with_neighbours(
    before: Prediction | None, p: Prediction, after: Prediction | None, *, decision: Decision
) -> Prediction:
    """Return `p` averaged with the neighbours that share audio with it, by how much they share."""
    judged = [q for q in (before, p, after) if q is not None and not q.gated]
    parts = [(q, weight) for q in judged if (weight := _shared(p, q)) > 0]
    if p.gated or len(parts) == 1:
        return p
    total = sum(weight for _, weight in parts)
    # Added up one after the other, as for many windows at once (`edge.detect.batch`).
    scores, novelties = np.zeros(len(p.scores)), np.zeros(len(p.rule_novelties))
    for q, weight in parts:
        scores += q.scores.astype(np.float64) * (weight / total)
        novelties += q.rule_novelties * (weight / total)
    animal = weighted([(q.animal, weight) for q, weight in parts])
    rounded = scores.astype(np.float32)
    return decision.averaged(p, scores=rounded, novelties=novelties, animal=animal)


def _shared(p: Prediction, q: Prediction) -> float:
    """Return the share of `p`'s audio that is in `q` too, 0..1."""
    overlap = min(p.end_sample, q.end_sample) - max(p.start_sample, q.start_sample)
    return max(overlap, 0) / (p.end_sample - p.start_sample)
