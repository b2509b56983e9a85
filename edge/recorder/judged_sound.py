"""Which of the sound in memory may be written: what the model has judged, and nothing private.

A sample is settled once no window to come can reach it. Only then is it known that nobody begins to
speak in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.detect.privacy import Privacy
from edge.types import AudioBlock, Prediction, Score, Window

__all__ = ["JudgedSound"]


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Samples of the stream, from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class _PrivateSpan(_Span):
    """A window with what is withheld for: its loudest label."""

    found: Score


class JudgedSound:
    """What the windows of the last `kept_samples` of a stream have said of its sound.

    It sees every block and what became of every window, in their order; older sound counts as not
    judged. Used by the pipeline's thread.
    """

    def __init__(self, privacy: Privacy, *, kept_samples: int) -> None:
        self._privacy = privacy
        self._kept_samples = kept_samples
        self._judged: list[_Span] = []  # windows that follow each other are one span
        self._gaps: list[_Span] = []  # there is no sound in them
        self._failed: list[_Span] = []  # windows of which the model said nothing
        self._private: list[_PrivateSpan] = []
        self._arrived = 0
        self._settled = 0
        self._run_end = -1  # of the last unbroken sound that is known to be over

    def block(self, block: AudioBlock) -> None:
        """Note that sound arrived, or that it broke off."""
        if block.start_sample > self._arrived:
            self._end_run()
            _extend(self._gaps, _Span(start=self._arrived, end=block.start_sample))
        self._arrived = max(self._arrived, block.end_sample)
        if block.last:
            self._end_run()
        self._forget()

    def prediction(self, p: Prediction) -> None:
        """Note what was predicted of a window; of a gated one nothing is known but that it came."""
        is_last = p.end_sample == self._run_end
        # The next window of this sound begins later than this one.
        self._settled = max(self._settled, p.end_sample if is_last else p.start_sample)
        if p.health.gated:
            return
        _extend(self._judged, _Span(start=p.start_sample, end=p.end_sample))
        found = self._privacy.found(p)
        if found is not None:
            span = _PrivateSpan(start=p.start_sample, end=p.end_sample, found=found)
            self._private.append(span)

    def failed(self, window: Window) -> None:
        """Note that the model had no answer to a window: people may speak in it."""
        _extend(self._failed, _Span(start=window.start_sample, end=window.end_sample))

    def around(self, sample: int, start_sample: int, end_sample: int) -> tuple[int, int] | None:
        """Return how much of the sound from start to end may be written, around `sample`.

        All of it is judged and settled, or was never there. None where `sample` itself is not.
        """
        settled = (
            _Span(start=span.start, end=min(span.end, self._settled))
            for span in self._judged
            if span.start < self._settled
        )
        for span in _merged([*settled, *self._gaps]):
            if span.start <= sample < span.end:
                start, end = max(span.start, start_sample), min(span.end, end_sample)
                return self._without_failed(sample, start, end)
        return None

    def private_within(self, start_sample: int, end_sample: int) -> Score | None:
        """Return the loudest of what is withheld for between two samples, None for nothing."""
        found = [
            span.found
            for span in self._private
            if span.start < end_sample and start_sample < span.end
        ]
        return max(found, key=lambda score: score.score, default=None)

    def _without_failed(self, sample: int, start: int, end: int) -> tuple[int, int] | None:
        for failed in self._failed:
            if failed.start <= sample < failed.end:
                return None
            if failed.end <= sample:
                start = max(start, failed.end)
            else:
                end = min(end, failed.start)
        return start, end

    def _end_run(self) -> None:
        """Note that no more sound follows on what has arrived."""
        self._run_end = self._arrived
        if self._judged and self._judged[-1].end == self._arrived:
            self._settled = self._arrived

    def _forget(self) -> None:
        horizon = self._arrived - self._kept_samples
        self._private = [span for span in self._private if span.end > horizon]
        for spans in (self._judged, self._gaps, self._failed):
            while spans and spans[0].end <= horizon:
                del spans[0]
            if spans and spans[0].start < horizon:
                spans[0] = _Span(start=horizon, end=spans[0].end)


def _extend(spans: list[_Span], new: _Span) -> None:
    """Add a span that begins no earlier than the last, as one with that where they meet."""
    if spans and new.start <= spans[-1].end:
        new = _Span(start=spans[-1].start, end=max(spans[-1].end, new.end))
        del spans[-1]
    spans.append(new)


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        _extend(merged, span)
    return merged
