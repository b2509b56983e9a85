"""Counts what becomes of a recording's audio while it is replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from edge.errors import BackendError
from edge.replay.formats.base import RecordingEffort, Unjudged
from edge.replay.stages import Played
from edge.types import AudioBlock, Prediction, Window

__all__ = ["ReplayMeter"]

Fate = Literal["judged", Unjudged]


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Samples with one fate, from the start of the recording."""

    start: int
    end: int
    fate: Fate


@dataclass(kw_only=True)
class ReplayMeter:
    """Counts samples by their fate, and reports progress. Is the pipeline's `Meter`.

    A sample is judged when any window with it was. `arrived` are the samples that were read,
    `end` is where the last block ended, gaps included, `below_precision` how many events were left
    out. `progress` gets the share of `duration_s`.
    """

    duration_s: float | None
    progress: Callable[[float], None]
    arrived: int = 0
    end: int = 0
    below_precision: int = 0
    samples: Counter[Fate] = field(default_factory=Counter)
    _open: list[_Span] = field(default_factory=list)

    def block(self, block: AudioBlock) -> None:
        """See `Meter.block`."""
        self.arrived += len(block.samples)
        self.end = block.end_sample
        if self.duration_s:
            self.progress(min(1.0, block.end_sample / block.sample_rate_hz / self.duration_s))

    def prediction(self, prediction: Prediction) -> None:
        """See `Meter.prediction`."""
        window = _Span(
            start=prediction.start_sample, end=prediction.end_sample, fate=_fate(prediction)
        )
        # No later window reaches what lies before this one.
        self._settle(window.start)
        if window.fate == "judged":
            self._open = [window]
            return
        reached = max(self._open[-1].end, window.start) if self._open else window.start
        if reached < window.end:
            self._open.append(replace(window, start=reached))

    def failed(self, window: Window, error: BackendError) -> None:
        """See `Meter.failed`: half a result would pass for a whole one."""
        raise error

    def leave_out(self, label: str) -> None:
        """Note an event that was left out for the precision that is wanted."""
        self.below_precision += 1

    def effort(self, source: Played) -> RecordingEffort:
        """Return how much of the recording was heard, now that `source` has ended."""
        self.close()
        rate_hz = source.sample_rate_hz
        return RecordingEffort(
            audio_s=self.arrived / rate_hz,
            judged_s=self.samples["judged"] / rate_hz,
            unjudged_s={
                reason: self.samples[reason] / rate_hz
                for reason in get_args(Unjudged)
                if self.samples[reason]
            },
            header_s=source.facts.announced_s,
            missing_s=source.reading.missing_s,
            gap_s=(self.end - self.arrived) / rate_hz,
            below_precision=self.below_precision,
        )

    def close(self) -> None:
        """Count what is still open; what no window reached was too short for one."""
        self._settle(self.end)
        self.samples["short"] = self.arrived - sum(
            count for fate, count in self.samples.items() if fate != "short"
        )

    def _settle(self, before: int) -> None:
        """Count the open samples before the sample `before`."""
        for span in self._open:
            self.samples[span.fate] += max(0, min(span.end, before) - span.start)
        self._open = [
            replace(span, start=max(span.start, before)) for span in self._open if span.end > before
        ]


def _fate(prediction: Prediction) -> Fate:
    health = prediction.health
    return "stuck" if health.stuck else "dead" if health.dead else "judged"
