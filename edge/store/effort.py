"""Listening effort: what became of every second of audio, per minute.

It distinguishes a quiet night from a recorder that could not hear. Each sample of the stream is
counted once. It was *lost* when it never arrived; *heard*, *gated* or *private* as the first window
that reaches it was judged, refused, or withheld because of `privacy`; *dropped* when it arrived and
no window reached it, or when the queue threw it away. Minutes are counted in samples from the start
of the stream; heard + gated + private + dropped + lost is the elapsed audio time, to the sample.
Nothing is *unknown* within a stream: that is the time between two of them, while the recorder was
down or began anew, as a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from edge.store.outcomes import OutcomeCounts
from edge.types import Outcome

__all__ = ["FATES", "Effort", "EffortMinute", "Fate", "WindowFate", "unknown_minute"]

Fate = Literal["heard", "lost", "gated", "dropped", "unknown", "private"]
WindowFate = Literal["heard", "gated", "private"]
FATES: tuple[Fate, ...] = get_args(Fate)
MINUTE_S = 60


@dataclass(frozen=True, kw_only=True)
class EffortMinute:
    """One minute of a stream, or a part of one at its ends.

    `heard`, `lost`, `gated`, `dropped`, `unknown` and `private` count samples at `sample_rate_hz`.
    Time of which nothing is known stands alone, and may be longer than a minute. `clips_withheld`
    are the clips that were not written in it because of `privacy`, `below_precision` the events
    that were left out because of `model.precision`, `windows` the windows that were heard, by what
    they are; each belongs to the minute in which what is new in it begins.
    """

    start_sample: int
    end_sample: int
    sample_rate_hz: int
    heard: int = 0
    lost: int = 0
    gated: int = 0
    dropped: int = 0
    unknown: int = 0
    private: int = 0
    clips_withheld: int = 0
    below_precision: int = 0
    windows: OutcomeCounts = field(default_factory=OutcomeCounts)

    def seconds(self, fate: Fate) -> float:
        """Return the seconds of one fate."""
        samples: int = getattr(self, fate)
        return samples / self.sample_rate_hz


def unknown_minute(samples: int, sample_rate_hz: int) -> EffortMinute:
    """Return time between two streams, of which nothing is known."""
    return EffortMinute(
        start_sample=0, end_sample=samples, sample_rate_hz=sample_rate_hz, unknown=samples
    )


class Effort:
    """The ledger of one stream; only the pipeline's thread uses it.

    Audio is settled once no window can reach it any more: by the windows after it, or by lost audio
    after it. A minute is complete when all of it is settled.
    """

    def __init__(self, *, sample_rate_hz: int, start_sample: int = 0) -> None:
        self._rate_hz = sample_rate_hz
        self._arrived = start_sample  # end of all audio that was entered, arrived or not
        self._settled = start_sample
        self._dropped_until = start_sample
        self._start = start_sample  # of the open minute
        self._samples: dict[Fate, int] = dict.fromkeys(FATES, 0)
        self._totals: dict[Fate, int] = dict.fromkeys(FATES, 0)
        self._clips_withheld = 0  # in the open minute, as are the next
        self._below_precision = 0
        self._windows = OutcomeCounts()
        self._closed: list[EffortMinute] = []

    def block(self, start_sample: int, end_sample: int) -> None:
        """Enter audio that arrived, perhaps none; a jump before it is lost audio.

        What `dropped` has entered of the jump is not lost.
        """
        if start_sample > self._arrived:
            # No window spans a gap, so what arrived before it and was not reached never will be.
            self._settle(self._arrived, "dropped")
            self._settle(min(self._dropped_until, start_sample), "dropped")
            self._settle(start_sample, "lost")
        self._arrived = max(self._arrived, end_sample)

    def dropped(self, start_sample: int, end_sample: int) -> None:
        """Enter audio that was thrown away because inference was late.

        To be called before the block that follows it.
        """
        if start_sample > self._arrived:
            self.block(start_sample, start_sample)
        self._settle(self._arrived, "dropped")
        self._dropped_until = self._arrived = max(self._arrived, end_sample)
        self._settle(self._arrived, "dropped")

    def window(
        self,
        start_sample: int,
        end_sample: int,
        *,
        fate: WindowFate,
        outcome: Outcome | None = None,
    ) -> None:
        """Enter a window, its fate and, where it was heard, what it is; what was skipped before it
        is dropped.
        """
        self._settle(min(start_sample, self._arrived), "dropped")
        if outcome is not None:
            self._windows = self._windows.with_one(outcome)
        self._settle(min(end_sample, self._arrived), fate)

    def clip_withheld(self) -> None:
        """Count a clip that is not written; it belongs to the minute that is open now."""
        self._clips_withheld += 1

    def event_left_out(self) -> None:
        """Count an event below the wanted precision; it belongs to the minute that is open now."""
        self._below_precision += 1

    def minutes(self) -> list[EffortMinute]:
        """Return the minutes completed since the last call."""
        closed, self._closed = self._closed, []
        return closed

    def open_minute(self) -> EffortMinute | None:
        """Return what is settled of the minute that is not over, None where that is nothing."""
        return self._minute() if self._settled > self._start else None

    def flush(self) -> list[EffortMinute]:
        """End the stream: settle what is left, and return the open minute, too."""
        self._settle(self._arrived, "dropped")
        counted = self._clips_withheld or self._below_precision or self._windows.total
        if self._settled > self._start or counted:
            self._close()
        return self.minutes()

    def total_s(self, fate: Fate) -> float:
        """Return the seconds of one fate since the start of the stream."""
        return self._totals[fate] / self._rate_hz

    def _settle(self, end_sample: int, fate: Fate) -> None:
        """Count everything up to `end_sample` that is not settled yet."""
        for part in self._parts(end_sample):
            self._samples[fate] += part
            self._totals[fate] += part
            self._settled += part
            if self._settled == self._minute_end:
                self._close()

    def _parts(self, end_sample: int) -> Iterator[int]:
        """Yield lengths from what is settled to `end_sample`, cut at the ends of minutes."""
        while self._settled < end_sample:
            yield min(end_sample, self._minute_end) - self._settled

    @property
    def _minute_end(self) -> int:
        length = MINUTE_S * self._rate_hz
        return (self._start // length + 1) * length

    def _close(self) -> None:
        self._closed.append(self._minute())
        self._start = self._settled
        self._samples = dict.fromkeys(FATES, 0)
        self._clips_withheld = self._below_precision = 0
        self._windows = OutcomeCounts()

    def _minute(self) -> EffortMinute:
        return EffortMinute(
            start_sample=self._start,
            end_sample=self._settled,
            sample_rate_hz=self._rate_hz,
            clips_withheld=self._clips_withheld,
            below_precision=self._below_precision,
            windows=self._windows,
            **self._samples,
        )
