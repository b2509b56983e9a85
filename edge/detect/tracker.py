"""Predictions of windows to detections of events.

Each prediction is first smoothed with its two neighbours, weighted by the share of audio that the
windows have in common, so that one deviating window among overlapping ones neither makes nor breaks
an event, and windows that do not overlap are left alone. An event stays open until its label has
been absent for the cool-down, in sound or in lost sound; coming back before that, it is the same
event. Several species may be open at once, and where a window carries several labels each has an
event of its own. Everything is counted in samples, never in wall time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from edge.detect.decision import Decision, weighted
from edge.section import Seconds, Section
from edge.types import Detection, EventState, Prediction

__all__ = ["Tracker", "TrackerConfig"]


class TrackerConfig(Section):
    """When events end: after `cooldown_s` of audio without the label, or at `longest_s`.

    An open event is given out again, as an update, every `update_s`.
    """

    cooldown_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    longest_s: Seconds = 60.0
    update_s: Seconds = 10.0


@dataclass(kw_only=True)
class _Event:
    """An open event; `announced` once its state `new` has been given out."""

    id: str
    start_sample: int
    end_sample: int
    peak: Prediction
    windows: int = 1
    announced: bool = False
    given_out_sample: int = 0
    # Start and end by the frames of its windows, where there are any.
    inner: tuple[int, int] | None = None

    @property
    def order_of_ends(self) -> tuple[int, int, str]:
        return self.end_sample, self.start_sample, self.id

    def add(self, p: Prediction) -> None:
        self.end_sample = max(self.end_sample, p.end_sample)
        self.windows += 1
        if p.strength > self.peak.strength:
            self.peak = p

    def narrow(self, p: Prediction, k: int) -> None:
        """Take in the frames of one of its windows; `k` is the index of its label."""
        span = p.frames.span(k) if p.frames is not None else None
        if span is not None:
            start, end = p.start_sample + span[0], min(p.start_sample + span[1], p.end_sample)
            if start < end:  # else it is the looped part of a recording shorter than a window
                before = self.inner or (start, end)
                self.inner = min(start, before[0]), max(end, before[1])

    def detection(self, state: EventState) -> Detection:
        peak = self.peak
        start_sample, end_sample = self.inner or (self.start_sample, self.end_sample)
        assert peak.nearest is not None  # gated predictions never join an event
        return Detection(
            id=self.id,
            state=state,
            label=peak.label,
            nearest=peak.nearest,
            score=peak.score,
            novelty=peak.novelty,
            top=peak.top,
            start_sample=start_sample,
            end_sample=end_sample,
            peak_sample=peak.start_sample,
            sample_rate_hz=peak.sample_rate_hz,
            windows=self.windows,
            health=peak.health,
            embedding=peak.embedding,
            animal=peak.animal,
        )


class Tracker:
    """Makes the events of one stream.

    `identity` names stream, bundle and configuration; event ids are digests of it and the start
    sample. `site` withholds labels that are not expected; it comes after the smoothing, which would
    give them out again.

    It works one window behind the model, because smoothing needs the next one. Ends of events come
    in the order in which they happen.
    """

    def __init__(
        self,
        *,
        decision: Decision,
        identity: str,
        config: TrackerConfig | None = None,
        site: Callable[[Prediction], Prediction] = lambda p: p,
    ) -> None:
        self._decision = decision
        self._identity = identity
        self._config = config or TrackerConfig()
        self._site = site
        self._before: Prediction | None = None
        self._held: Prediction | None = None
        self._open: dict[str | None, _Event] = {}

    def push(self, prediction: Prediction) -> Iterator[Detection]:
        """Take the next window's prediction; yield what is now known of the window before it."""
        if self._held is not None:
            yield from self._follow(self._smooth(self._before, self._held, prediction))
        self._before, self._held = self._held, prediction

    def lost(self, until_sample: int) -> Iterator[Detection]:
        """Take note that no sound has come up to a sample; yield what is over by then.

        What the next window would end is ended now, because there may never be one. No window
        shares audio with another across a gap, so nothing else depends on when this is called.
        """
        yield from self._settle()
        over = [
            label
            for label, event in self._open.items()
            if self._is_absent(event, until_sample, event.peak.sample_rate_hz)
        ]
        # By their ends, so that the order is the same however often the gap was looked at.
        for label in sorted(over, key=lambda label: self._open[label].order_of_ends):
            yield from self._end([label])

    def flush(self) -> Iterator[Detection]:
        """Yield the rest: the stream has ended, and with it every event."""
        yield from self._settle()
        yield from self._end(list(self._open))

    def _settle(self) -> Iterator[Detection]:
        """Follow the last window, which gets no neighbour any more."""
        if self._held is not None:
            yield from self._follow(self._smooth(self._before, self._held, None))
        self._before = self._held = None

    def _smooth(
        self, before: Prediction | None, p: Prediction, after: Prediction | None
    ) -> Prediction:
        """Return `p` averaged with the neighbours that share audio with it."""
        judged = [q for q in (before, p, after) if q is not None and not q.health.gated]
        parts = [(q, weight) for q in judged if (weight := _shared(p, q)) > 0]
        if p.health.gated or len(parts) == 1:
            return p
        weights = np.array([weight for _, weight in parts]) / sum(weight for _, weight in parts)
        scores = (weights @ np.stack([q.scores for q, _ in parts])).astype(np.float32)
        novelty = float(weights @ np.array([q.rule_novelty for q, _ in parts]))
        animal = weighted([(q.animal, weight) for q, weight in parts])
        return self._decision(
            p, scores=scores, novelty=novelty, accepted=novelty <= 0.5, animal=animal
        )

    def _follow(self, p: Prediction) -> Iterator[Detection]:
        """Go on with the events by one window, as the site has it."""
        p = self._site(p)
        if p.health.gated:
            yield from self._end(list(self._open))
            return
        parts = [p.carrying((score,)) for score in p.accepted] if p.others else [p]
        if p.is_nothing:
            parts = []
        present = {part.label for part in parts}
        yield from self._end(self._over(p, present))
        self._forget_pause(present)
        for part in parts:
            if part.label in self._open:
                self._open[part.label].add(part)
            else:
                self._open[part.label] = self._begin(part)
            if part.label is not None and part.frames is not None:
                self._open[part.label].narrow(part, self._decision.labels.index(part.label))
            yield from self._announce(part)

    def _over(self, p: Prediction, present: set[str | None]) -> list[str | None]:
        """Return the labels whose events are over with this window."""
        return [
            label
            for label, event in self._open.items()
            if self._is_over(event, p, present=label in present)
        ]

    def _forget_pause(self, present: set[str | None]) -> None:
        """Drop an unknown that was a pause inside an event which now goes on."""
        unknown = self._open.get(None)
        goes_on = None not in present and not present.isdisjoint(self._open)
        if goes_on and unknown is not None and not unknown.announced:
            del self._open[None]

    def _begin(self, p: Prediction) -> _Event:
        what = "unknown" if p.label is None else f"label {p.label}"
        name = f"{self._identity}|{p.start_sample}|{what}"
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return _Event(id=digest, start_sample=p.start_sample, end_sample=p.end_sample, peak=p)

    def _is_over(self, event: _Event, p: Prediction, *, present: bool) -> bool:
        absent = self._is_absent(event, p.start_sample, p.sample_rate_hz)
        length = p.end_sample - event.start_sample
        too_long = length > self._config.longest_s * p.sample_rate_hz
        return absent or (present and too_long)

    def _is_absent(self, event: _Event, sample: int, rate_hz: int) -> bool:
        return sample - event.end_sample > self._config.cooldown_s * rate_hz

    def _announce(self, p: Prediction) -> Iterator[Detection]:
        """Yield the states `new` and `update`.

        An unknown waits for as long as a species that may come back is open.
        """
        event = self._open[p.label]
        if not event.announced:
            if p.label is None and len(self._open) > 1:
                return
            event.announced, event.given_out_sample = True, p.end_sample
            yield event.detection("new")
        elif p.end_sample - event.given_out_sample >= self._config.update_s * p.sample_rate_hz:
            event.given_out_sample = p.end_sample
            yield event.detection("update")

    def _end(self, labels: list[str | None]) -> Iterator[Detection]:
        ending = [self._open.pop(label) for label in labels]
        for event in sorted(ending, key=lambda event: (event.start_sample, event.id)):
            if not event.announced:
                yield event.detection("new")
            yield event.detection("end")


def _shared(p: Prediction, q: Prediction) -> float:
    """Return the share of `p`'s audio that is in `q` too, 0..1."""
    overlap = min(p.end_sample, q.end_sample) - max(p.start_sample, q.start_sample)
    return max(overlap, 0) / (p.end_sample - p.start_sample)
