"""Predictions of windows to detections of events.

Each prediction is first smoothed with its two neighbours, weighted by the share of audio that the
windows have in common, so that one deviating window among overlapping ones neither makes nor breaks
an event, and windows that do not overlap are left alone. An event stays open until its label has
been absent for the cool-down, in sound or in lost sound; coming back before that, it is the same
event. Where it is known where in its windows a label is present (`narrowing`), the cool-down counts
from there too. Several species may be open at once, and where a window carries several labels each
has an event of its own. Everything is counted in samples, never in wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edge.detect.decision import Decision
from edge.detect.events import Part, digest_of
from edge.detect.giving_out import GivingOut
from edge.detect.narrowing import Nearby, ScoreTrack
from edge.detect.precision import PrecisionFilter
from edge.detect.recent import Earlier, Recent
from edge.detect.runs import Run
from edge.detect.smoothing import with_neighbours
from edge.detect.tracker_config import TrackerConfig
from edge.types import Detection, Prediction

__all__ = ["Tracker", "TrackerConfig"]


class Tracker:
    """Makes the events of one stream.

    `identity` names stream, bundle and configuration; event ids are digests of it and the start
    sample. `site` withholds labels that are not expected; it comes after the smoothing, which would
    give them out again. An event is given out once its best window has the score for `precision`;
    with `ends_only` it is when it ends, and in no other state.

    It works one window behind the model: smoothing needs the next one. Events end in their order.
    """

    def __init__(
        self,
        *,
        decision: Decision,
        identity: str,
        config: TrackerConfig | None = None,
        site: Callable[[Prediction], Prediction] = lambda p: p,
        precision: PrecisionFilter | None = None,
        ends_only: bool = False,
    ) -> None:
        self._decision = decision
        self._identity = identity
        self._config = config or TrackerConfig()
        self._site = site
        self._out = GivingOut(
            precision=precision or PrecisionFilter(),
            update_s=self._config.update_s,
            ends_only=ends_only,
        )
        self._before: Prediction | None = None
        self._held: Prediction | None = None
        self._open: dict[str | None, Run] = {}
        self._recent = Recent()

    def push(self, prediction: Prediction) -> Iterator[Detection]:
        """Take the next window's prediction; yield what is now known of the window before it."""
        if self._held is not None:
            yield from self._next(self._held, prediction)
        self._before, self._held = self._held, prediction

    def lost(self, until_sample: int) -> Iterator[Detection]:
        """Take note that no sound has come up to a sample; yield what is over by then.

        What the next window would end is ended now, because there may never be one. No window
        shares audio with another across a gap, so nothing else depends on when this is called.
        """
        yield from self._settle()
        over = [
            (run.release_sample(part), part.first, part.id, run, part)
            for run in self._open.values()
            for part in run.parts
            if until_sample > run.release_sample(part)
        ]
        # By their ends, so that the order is the same however often the gap was looked at.
        for *_, run, part in sorted(over, key=lambda found: found[:3]):
            yield from self._out.end_of(run, part)
        for label, run in list(self._open.items()):
            if self._is_absent(run, until_sample):
                del self._open[label]

    def flush(self) -> Iterator[Detection]:
        """Yield the rest: the stream has ended, and with it every event."""
        yield from self._settle()
        yield from self._end(list(self._open))

    def _settle(self) -> Iterator[Detection]:
        """Follow the last window, which gets no neighbour any more."""
        if self._held is not None:
            yield from self._next(self._held, None)
        self._before = self._held = None
        self._break_off()

    def _next(self, p: Prediction, after: Prediction | None) -> Iterator[Detection]:
        """Follow a window, whose neighbours are known now."""
        nearby = Nearby.of(self._before, p, after)
        if p.gated:
            yield from self.gated(nearby)
            return
        smoothed = with_neighbours(self._before, p, after, decision=self._decision)
        yield from self.follow(p, smoothed, nearby)

    def _break_off(self) -> None:
        """Take note that nothing shares audio with what has been heard."""
        self.recall(list)
        for run in self._open.values():
            run.break_off()

    @property
    def is_idle(self) -> bool:
        """Whether no event goes on: a window without anything changes only what is recalled."""
        return not self._open

    @property
    def runs(self) -> Mapping[str | None, Run]:
        """What goes on, by label, where nothing of it is given out before it ends: windows may then
        be added at once. Else nothing.
        """
        return self._open if self._out.ends_only else {}

    def expects(self, p: Prediction) -> bool:
        """Return whether a window is followed with just the labels that it has."""
        return self._site(p) is p

    def longest_end(self, run: Run, rate_hz: int) -> float:
        """Return the last sample to which a run may go on."""
        return run.start_sample + self._config.longest_s * rate_hz

    def recall(self, earlier: Earlier) -> None:
        """Take note that windows were passed over; see `Recent.recall`."""
        self._recent.recall(earlier)

    def announce(self, run: Run, p: Prediction) -> None:
        """Take note that a call has gone on by windows of which `p` is the best."""
        list(self._out.announced(run, p, waits=False))  # where only ends are wanted, nothing

    def gated(self, nearby: Nearby) -> Iterator[Detection]:
        """Go on by a window that carries no sound: every event ends."""
        if not nearby.is_unbroken:
            self._break_off()
        self.recall(list)
        yield from self._end(list(self._open))

    def follow(self, judged: Prediction, p: Prediction, nearby: Nearby) -> Iterator[Detection]:
        """Go on by one window, as it was `judged` and as it is averaged with its neighbours."""
        if not nearby.is_unbroken:
            self._break_off()
        if not p.is_nothing:  # nothing would be left of it either
            p = self._site(p)
        self._remember(judged, nearby)
        parts = self._parts(p)
        present = {part.label for part in parts}
        if over := self._over(p, present):
            waiting = {label: self._open[label].hand_over() for label in over if label in present}
            yield from self._end(over)
        else:
            waiting = {}
        yield from self._end_parts(p.start_sample)
        self._forget_pause(present)
        for part in parts:
            if part.label not in self._open:
                self._open[part.label] = self._begin(part, waiting.get(part.label, []))
            run = self._open[part.label]
            run.add(part, self._index(part.label), nearby)
            # An unknown waits for as long as a species that may come back is open.
            waits = part.label is None and len(self._open) > 1
            yield from self._out.announced(run, part, waits=waits)
        for label, run in self._open.items():
            if label is not None and label not in present:
                run.pass_over(p, p.score_of(self._decision.index[label]))

    def _parts(self, p: Prediction) -> list[Prediction]:
        """Return a window once for each label that it carries."""
        if p.is_nothing:
            return []
        return [p.carrying((score,)) for score in p.accepted] if p.others else [p]

    def _remember(self, judged: Prediction, nearby: Nearby) -> None:
        """Keep the scores from which the times of events are told."""
        for label, run in self._open.items():
            if label is not None:
                run.see(judged, self._decision.index[label], nearby)
        self._recent.add(judged, nearby)

    def _over(self, p: Prediction, present: set[str | None]) -> list[str | None]:
        """Return the labels whose runs are over with this window."""
        runs = self._open.items()
        return [label for label, run in runs if self._is_over(run, p, present=label in present)]

    def _forget_pause(self, present: set[str | None]) -> None:
        """Drop an unknown that was a pause inside an event which now goes on."""
        unknown = self._open.get(None)
        goes_on = None not in present and not present.isdisjoint(self._open)
        if goes_on and unknown is not None and not any(part.announced for part in unknown.parts):
            del self._open[None]

    def _begin(self, p: Prediction, waiting: list[Part]) -> Run:
        what = "unknown" if p.label is None else f"label {p.label}"
        return Run(
            p,
            id=digest_of(f"{self._identity}|{p.start_sample}|{what}"),
            cooldown_samples=int(self._config.cooldown_s * p.sample_rate_hz),
            narrow=self._config.narrow,
            track=self._track(p),
            waiting=waiting,
        )

    def _track(self, p: Prediction) -> ScoreTrack | None:
        """Return the scores so far of a label that begins with this window."""
        k = self._index(p.label)
        if k is None or p.frames is not None or not self._config.narrow:
            return None
        track = ScoreTrack(p.end_sample - p.start_sample)
        for q, nearby in self._recent.sharing_with(p):
            track.add(q.start_sample, q.score_of(k), unbroken=nearby.is_unbroken)
        return track

    def _index(self, label: str | None) -> int | None:
        return None if label is None else self._decision.index[label]

    def _is_over(self, run: Run, p: Prediction, *, present: bool) -> bool:
        length = p.end_sample - run.start_sample
        too_long = length > self._config.longest_s * p.sample_rate_hz
        return self._is_absent(run, p.start_sample) or (present and too_long)

    def _is_absent(self, run: Run, sample: int) -> bool:
        return sample - run.end_sample > run.cooldown_samples

    def _end_parts(self, sample: int) -> Iterator[Detection]:
        """End what no window from `sample` on can hold any more, though its run may go on."""
        ending = [(run, part) for run in self._open.values() for part in run.over(sample)]
        if ending:
            yield from self._out.ended(ending)

    def _end(self, labels: list[str | None]) -> Iterator[Detection]:
        ending = [self._open.pop(label) for label in labels]
        yield from self._out.ended([(run, part) for run in ending for part in run.parts])
