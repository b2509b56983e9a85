"""What the windows of one label make: an event, or several where its calls lie far apart.

Windows that follow each other within the cool-down are one *run*. What is known of the call within
them, from frames or from how scores rise and fall, makes its *parts*: calls with more than the
cool-down between them. Each is an event of its own; where nothing is known the run is one part.

A part is over when no window to come can hold anything within the cool-down of it. Later parts wait
for that: what is given out is never taken back, nor given out twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.detect.events import Part, digest_of
from edge.detect.narrowing import Edges, Nearby, ScoreTrack, logit
from edge.types import Detection, EventState, Prediction

__all__ = ["Run"]


class Run:
    """Windows with one label that follow each other within the cool-down, and their parts.

    `track` has the scores of the label where times are told from them, else it is None; without
    `narrow` they are not told from frames either. `waiting` are parts of a run that was cut, which
    go on in this one.
    """

    def __init__(
        self,
        first: Prediction,
        *,
        id: str,
        cooldown_samples: int,
        narrow: bool,
        track: ScoreTrack | None,
        waiting: Sequence[Part] = (),
    ) -> None:
        self.id = id
        self.start_sample = first.start_sample
        self.end_sample = first.end_sample
        self.parts = list(waiting)
        self.cooldown_samples = cooldown_samples
        self._narrow = narrow
        self._track = track
        self._is_new = not waiting
        self._frame_samples = 0
        self._before: int | None = None  # start of the last window of the part before
        self._is_broken_off = False  # whether the next window shares nothing with the last
        self._goes_on = False  # whether the window before held the last part

    @property
    def current(self) -> Part | None:
        """The part to give out: the announced one, else the first."""
        for part in self.parts:
            if part.announced:
                return part
        return self.parts[0] if self.parts else None

    def add(self, p: Prediction, k: int | None, nearby: Nearby) -> None:
        """Take in the next window with the label, which has the index `k` among the scores."""
        self.end_sample = max(self.end_sample, p.end_sample)
        spans = list(self._spans(p, k, nearby))
        for start, end in spans:
            self._take(p, start, end)
        if not spans:
            self._join(p)
        self._goes_on = bool(spans)

    def prolong(self, starts: Sequence[int], end_sample: int, best: Prediction) -> None:
        """Take in windows of an unknown that follow the last one, and the `best` of these."""
        self.end_sample = end_sample
        part = self.parts[-1]
        part.windows.update(starts)
        part.last, part.end_sample = starts[-1], end_sample
        if best.strength > part.peak.strength:
            part.peak = best

    def reaches(self, start_sample: int) -> bool:
        """Return whether a window that starts there, with the label, is one of the run."""
        return start_sample - self.end_sample <= self.cooldown_samples

    @property
    def is_one_call(self) -> bool:
        """Whether it has one part, and the last window says by its scores that this goes on."""
        is_going = self._goes_on and self._track is not None
        return is_going and len(self.parts) == 1 and self.parts[0].held is not None

    def prolong_call(
        self, starts: Sequence[int], end_sample: int, best: Prediction, scores: Sequence[float]
    ) -> None:
        """Take in windows with which the call goes on, the `best` of these, and the scores of the
        label as they were judged.
        """
        assert self._track is not None
        part = self.parts[0]
        assert part.held is not None
        self.pass_by(starts, scores)
        self.prolong(starts, end_sample, best)
        part.hold(min(part.held), starts[-1] + self._track.filled_samples)

    @property
    def quiet_until(self) -> int | None:
        """The last start of a window that changes nothing, if it and all before have no label, and
        no sound is lost; None while the call may still go on.
        """
        if self._track is not None and (self._goes_on or self._is_broken_off):
            return None
        held = [self.release_sample(part) for part in self.parts if part.held is not None]
        return min([self.end_sample + self.cooldown_samples, *held])

    def pass_by(self, starts: Sequence[int], scores: Sequence[float]) -> None:
        """See windows with these scores of the label, each of which shares audio with the last."""
        self._is_broken_off = False
        if self._track is not None:
            self._track.extend(starts, scores)

    def pass_over(self, p: Prediction, score: float) -> None:
        """Take note of a window without the label: the call goes on while `score` is high still."""
        if self._track is None or not self._goes_on:
            return
        part = self.parts[-1]
        self._goes_on = logit(score) >= self._track.half(part.first, part.last)
        if self._goes_on and part.held is not None:
            part.hold(part.held[0], p.start_sample + self._track.filled_samples)

    def see(self, p: Prediction, k: int, nearby: Nearby) -> None:
        """Take note of the scores of a window, whether it has the label or not."""
        self._is_broken_off = not nearby.is_unbroken
        if self._track is not None:
            self._track.add(p.start_sample, p.score_of(k), unbroken=nearby.is_unbroken)

    def break_off(self) -> None:
        """Take note that no sound follows on the last window: the call may go on to its end."""
        if self._track is not None and self._goes_on:
            part = self.parts[-1]
            if part.held is not None:
                part.hold(part.held[0], max(part.held[1], part.end_sample))
        self._goes_on, self._is_broken_off = False, True

    def over(self, sample: int) -> list[Part]:
        """Return the parts that are over when no window to come starts before `sample`."""
        return [
            part
            for part in self.parts
            if part.held is not None and sample > self.release_sample(part)
        ]

    def take_out(self, part: Part) -> Detection:
        """Return how a part ends, and forget it."""
        ended = self.detection(part, "end")
        self.parts.remove(part)
        self._before = part.last if self._before is None else max(self._before, part.last)
        return ended

    def hand_over(self) -> list[Part]:
        """Return the parts that wait, and forget them: the run is cut, another goes on."""
        waiting = [part for part in self.parts if part is not self.current]
        self.parts = [part for part in self.parts if part is self.current]
        return waiting

    def release_sample(self, part: Part) -> int:
        """Return the last start of a window that can still hold something of a part."""
        latest = self.end_sample + self.cooldown_samples
        if part.held is None:
            return latest
        end = part.held[1]
        if self._track is None or self._is_broken_off:
            return min(end + self.cooldown_samples, latest)
        window, filled = self._track.window_samples, self._track.filled_samples
        # Until a window shares no audio with the last one, its score tells where the call ends.
        told = max(end - filled + window - 1, end + self.cooldown_samples - (window - filled))
        return min(told, latest)

    def detection(self, part: Part, state: EventState) -> Detection:
        """Return a part as it is known now."""
        return part.detection(state, self._edges(part))

    def _spans(self, p: Prediction, k: int | None, nearby: Nearby) -> Iterator[tuple[int, int]]:
        """Yield from where to where the window says that the label is present; see `Part.held`."""
        if k is None:
            return
        if self._track is not None and nearby.is_dense:
            filled, window = self._track.filled_samples, self._track.window_samples
            start = p.start_sample + (window - filled if nearby.is_unbroken else 0)
            if self._goes_on and (held := self.parts[-1].held) is not None:
                start = min(held)
            yield start, p.start_sample + filled
        elif p.frames is not None and self._narrow:
            self._frame_samples = p.frames.part_samples
            for first, last in p.frames.spans(k):
                start, end = p.start_sample + first, min(p.start_sample + last, p.end_sample)
                if start < end:  # else it is the looped part of a recording shorter than a window
                    yield start, end

    def _join(self, p: Prediction) -> None:
        """Add a window of which nothing more is known to the last part."""
        if self._is_new and not self.parts:
            self.parts.append(self._begun(p, self.id))
        if self.parts:
            self.parts[-1].add(p)

    def _take(self, p: Prediction, start: int, end: int) -> None:
        """Add a window to the part that is within the cool-down of what is present in it."""
        near = [part for part in self.parts if self._is_near(part, start, end)]
        part = next((part for part in near if part.announced), near[0] if near else None)
        if part is None:
            is_first = self._is_new and not self.parts
            part = self._begun(
                p, self.id if is_first else digest_of(f"{self.id}|{p.start_sample}|{start}")
            )
            self.parts.append(part)
        for other in near:
            if other is not part:
                part.absorb(other)
                self.parts.remove(other)
        part.add(p)
        part.hold(start, end)
        self.parts.sort(key=lambda part: part.held or (-1, -1))

    def _is_near(self, part: Part, start: int, end: int) -> bool:
        if part.held is None:
            return True
        pause = max(start - part.held[1], min(part.held) - max(start, end))
        return pause <= self.cooldown_samples

    def _begun(self, p: Prediction, id: str) -> Part:
        self._is_new = False
        return Part(
            id=id, peak=p, first=p.start_sample, last=p.start_sample, end_sample=p.end_sample
        )

    def _edges(self, part: Part) -> Edges | None:
        """Return start and end of a part as they are known now, None where its windows' count."""
        if part.held is None:
            return None
        if self._track is not None:
            after = next((other.first for other in self.parts if other.first > part.last), None)
            return self._track.edges(part.first, part.last, after=self._before, before=after)
        start, end = part.held
        return Edges(
            start_sample=start,
            end_sample=end,
            start_uncertainty=self._frame_samples,
            end_uncertainty=self._frame_samples,
        )
