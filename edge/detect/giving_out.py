"""When an event is given out: as it begins, while it goes on, and when it has ended."""

from __future__ import annotations

from collections.abc import Iterator

from edge.detect.events import Part
from edge.detect.precision import PrecisionFilter
from edge.detect.runs import Run
from edge.types import Detection, EventState, Prediction

__all__ = ["GivingOut"]


class GivingOut:
    """Gives out events whose best window has the score for `precision`, and every `update_s` again
    while they go on; with `ends_only` it does when they end, and in no other state.
    """

    def __init__(self, *, precision: PrecisionFilter, update_s: float, ends_only: bool) -> None:
        self._precision = precision
        self._update_s = update_s
        self.ends_only = ends_only

    def announced(self, run: Run, p: Prediction, *, waits: bool) -> Iterator[Detection]:
        """Yield the states `new` and `update` of a run to which `p` was added, unless it waits."""
        part = run.current
        if part is None or p.start_sample not in part.windows:
            return
        if not part.announced:
            if waits or not self._precision.keeps(part.peak):
                return
            part.announced, part.given_out_sample = True, p.end_sample
            yield from self._passing(run, part, "new")
        elif p.end_sample - part.given_out_sample >= self._update_s * p.sample_rate_hz:
            part.given_out_sample = p.end_sample
            yield from self._passing(run, part, "update")

    def ended(self, ending: list[tuple[Run, Part]]) -> Iterator[Detection]:
        """Yield how parts of runs end, in their order, and take them out of these."""
        for run, part in sorted(ending, key=lambda pair: (pair[1].first, pair[1].id)):
            yield from self.end_of(run, part)

    def end_of(self, run: Run, part: Part) -> Iterator[Detection]:
        """Yield how a part of a run ends, and take it out of that."""
        kept = self._precision.keeps_at_end(part.peak)
        if kept and not part.announced:
            yield from self._passing(run, part, "new")
        ended = run.take_out(part)
        if kept:
            yield ended

    def _passing(self, run: Run, part: Part, state: EventState) -> Iterator[Detection]:
        """Yield an event that goes on."""
        if not self.ends_only:
            yield run.detection(part, state)
