"""Events of a recording by the stored answers of its network, without hearing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge.archive.answers import AnswerBatch, Span
from edge.detect.batch import WindowBatch
from edge.detect.classifier import TwoStepClassifier
from edge.detect.smoothing import NoSmoothing
from edge.detect.tracker import Tracker
from edge.replay.formats.base import ReplayResult
from edge.replay.stages import Stages
from edge.types import Detection

__all__ = ["EventsAgain", "Piece", "judged_again", "pieces"]


@dataclass(kw_only=True)
class EventsAgain:
    """The events of one recording, while its windows are followed.

    `before` is what was heard of it without any, `left_out` has the labels of those that are left
    out for the precision that is wanted.
    They are those of `detect` over the recording itself, as far as what is stored is exact.
    """

    before: ReplayResult
    stages: Stages
    left_out: list[str]
    found: list[Detection] = field(default_factory=list)

    def follow(self, piece: Piece) -> None:
        """Go on by the windows of a piece."""
        smoothing, tracker, batch = self.stages.smoothing, self.stages.tracker, piece.batch
        if isinstance(smoothing, NoSmoothing):
            self.found += batch.events(tracker, piece.first, piece.end)
            return
        for i in range(piece.first, piece.end):
            for p in smoothing.push(batch.prediction(i)):
                self.found += tracker.push(p)
            for sample in batch.breaks.get(i, ()):
                self._settle(tracker)
                self.found += tracker.lost(sample)

    def finished(self) -> list[Detection]:
        """Return all of them, now that the recording has ended."""
        self._settle(self.stages.tracker)
        self.found += self.stages.tracker.flush()
        return self.found

    def _settle(self, tracker: Tracker) -> None:
        for p in self.stages.smoothing.flush():
            self.found += tracker.push(p)


def judged_again(answers: AnswerBatch, model: TwoStepClassifier) -> WindowBatch:
    """Return what `model` says of the windows of a batch."""
    judged = model.judgement([answers.answer], overheard=False)
    return WindowBatch(answers.windows, judged, model.decision)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Windows of a recording that come next: rows from `first` to before `end` of a batch."""

    span: Span
    batch: WindowBatch
    first: int
    end: int
    begins: bool
    ends: bool


def pieces(batches: Iterable[AnswerBatch], model: TwoStepClassifier) -> Iterator[Piece]:
    """Yield the recordings of parts in their order, each in one piece or several."""
    for answers in batches:
        batch = judged_again(answers, model)
        for span in answers.spans:
            first, end = max(span.first, answers.first), min(span.end, answers.end)
            yield Piece(
                span=span,
                batch=batch,
                first=first - answers.start,
                end=end - answers.start,
                begins=first == span.first,
                ends=end == span.end,
            )
