"""What is made of a window's scores by those before and after it, causal, between model and tracker
(Shugayev et al. 2021).

A sliding average, p(t) = 0.5 p(t) + 0.25 p(t - d) + 0.25 p(t + d), and a boost of labels that were
heard well a while ago. The paper boosts by the whole recording, which a recorder cannot. Both are
counted in samples of audio: scores between two windows are those of the line between them, so that
the hop hardly matters. Whatever breaks the hearing, lost audio or a dead microphone, breaks both:
nothing is carried over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from edge.detect.decision import Decision
from edge.section import Section
from edge.types import Array, Prediction

__all__ = ["NoSmoothing", "SlidingAverage", "Smoothing", "SmoothingConfig", "smoothing_of"]

PASSED = 0.5  # a score above it is a label heard well
NEVER = -(2**62)


class SmoothingConfig(Section):
    """`slide_s`: d of the sliding average, 0: none. `boost`: factor of the scores, 1: none,
    `boost_s` after one above 0.5.
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
        """End of the stream: the rest."""
        ...


class NoSmoothing:
    """Every prediction as it came."""

    def push(self, prediction: Prediction) -> Iterable[Prediction]:
        """See `Smoothing.push`."""
        return (prediction,)

    def flush(self) -> Iterable[Prediction]:
        """See `Smoothing.flush`."""
        return ()


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
        """Start a run of unbroken hearing."""
        self._run: list[Prediction] = []
        self._next = 0  # in the run, to be settled
        # (K,) start of the last window heard well
        self._passed = np.full(len(self._decision.labels), NEVER, np.int64)

    def _smoothed(self) -> Prediction:
        p = self._run[self._next]
        scores, novelty = self._average(p) if self._slide else (p.scores, p.rule_novelty)
        if self._boost > 1:
            scores = self._boosted(p.start_sample, scores)
        self._forget(p.start_sample - self._slide)
        if scores is p.scores:
            return p
        return self._decision(p, scores=scores, novelty=novelty, accepted=novelty <= 0.5)

    def _average(self, p: Prediction) -> tuple[Array, float]:
        """With what is there of the two neighbours; without either, `p` itself."""
        around = [
            heard
            for at in (-self._slide, self._slide)
            if (heard := self._heard_at(p.start_sample + at)) is not None
        ]
        if not around:
            return p.scores, p.rule_novelty
        weight = 0.5 + 0.25 * len(around)
        scores = (
            0.5 * p.scores.astype(np.float64) + 0.25 * sum(scores for scores, _ in around)
        ) / weight
        novelty = (0.5 * p.rule_novelty + 0.25 * sum(novelty for _, novelty in around)) / weight
        return scores.astype(np.float32), novelty

    def _heard_at(self, sample: int) -> tuple[Array, float] | None:
        """Scores and novelty of a window that starts at `sample`, between those of its neighbours;
        None outside of the run.
        """
        after = next((i for i, p in enumerate(self._run) if p.start_sample >= sample), None)
        if after is None or (after == 0 and self._run[0].start_sample > sample):
            return None
        b = self._run[after]
        if b.start_sample == sample:
            return b.scores, b.rule_novelty
        a = self._run[after - 1]
        share = (sample - a.start_sample) / (b.start_sample - a.start_sample)
        return a.scores + np.float32(share) * (b.scores - a.scores), a.rule_novelty + share * (
            b.rule_novelty - a.rule_novelty
        )

    def _boosted(self, sample: int, scores: Array) -> Array:
        self._passed[scores > PASSED] = sample
        recent = sample - self._passed <= self._boost_samples
        if not recent.any():
            return scores
        result: Array = np.where(
            recent, np.minimum(scores * np.float32(self._boost), 1), scores
        ).astype(np.float32)
        return result

    def _forget(self, sample: int) -> None:
        """The window is settled; those before `sample` are no longer needed, but for the last of
        them.
        """
        self._next += 1
        older = sum(p.start_sample <= sample for p in self._run[: self._next]) - 1
        if older > 0:
            del self._run[:older]
            self._next -= older


def smoothing_of(config: SmoothingConfig, *, decision: Decision, sample_rate_hz: int) -> Smoothing:
    """What `config` asks for."""
    return (
        SlidingAverage(decision=decision, config=config, sample_rate_hz=sample_rate_hz)
        if config.on
        else NoSmoothing()
    )
