"""Events as a recorder makes them of windows: what a person reviews, and what a probability is of.

Training must not import the device's tracker, so this is the same procedure over arrays, with its
default configuration; a test holds the two together. Only that calls which lie apart within
windows of one event are events of their own (`tracker.narrow`) is left out: all have its label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import SCORE_THRESHOLD, Head
from train.corpus.corpus import Corpus, Recording
from train.windows.outputs import WindowOutputs

__all__ = [
    "Events",
    "Judgements",
    "events_in",
    "events_of",
    "joined",
    "labels_of",
    "listed",
]

COOLDOWN_S = 3.0
LONGEST_S = 60.0
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """What a head says of the W windows of one recording, in their order.

    They reach from `start_s` (W,) to `end_s` (W,); `scores` are (W, K), `novelty` (W,) is above 0.5
    where a window is rejected.
    """

    start_s: Floats
    end_s: Floats
    scores: NDArray[np.float32]
    novelty: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Events:
    """E events: the position of their `recording` (E,) and `label` (E,), and the `score` (E,) of
    their best window; `right` (E,) says whether the label is.
    """

    recording: Ints
    label: Ints
    score: Floats
    right: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label)

    def select(self, mask: NDArray[np.bool_]) -> Events:
        """Return the events of a mask (E,)."""
        return Events(
            recording=self.recording[mask],
            label=self.label[mask],
            score=self.score[mask],
            right=self.right[mask],
        )


def joined(parts: Iterable[Events]) -> Events:
    """Return all events of several collections, in their order."""
    none = listed(())
    kept = [none, *parts]
    return Events(
        recording=np.concatenate([part.recording for part in kept]),
        label=np.concatenate([part.label for part in kept]),
        score=np.concatenate([part.score for part in kept]),
        right=np.concatenate([part.right for part in kept]),
    )


def listed(rows: Sequence[tuple[int, int, float, bool]]) -> Events:
    """Return events from rows of recording, label, score and whether the label is right."""
    columns = tuple(zip(*rows, strict=True)) if rows else ((), (), (), ())
    return Events(
        recording=np.array(columns[0], np.int64),
        label=np.array(columns[1], np.int64),
        score=np.array(columns[2], np.float64),
        right=np.array(columns[3], bool),
    )


def events_in(corpus: Corpus, outputs: WindowOutputs, head: Head, *, window_s: float) -> Events:
    """Return the events that `head` makes of windows of whole recordings.

    A label is right where its recording is of it, or its author has heard it in the background.
    """
    thresholds = None
    if head.activation == "sigmoid":
        own = head.label_thresholds or (SCORE_THRESHOLD,) * len(outputs.labels)
        thresholds = np.array(own, np.float32)
    rows: list[tuple[int, int, float, bool]] = []
    for i in np.unique(outputs.recording):
        mine = outputs.select(outputs.recording == i)
        verdicts = head(mine.embedding, mine.logits)
        judged = Judgements(
            start_s=mine.start_s,
            end_s=mine.start_s + window_s,
            scores=verdicts.scores,
            novelty=verdicts.novelty,
        )
        present = labels_of(corpus.recordings[i])
        rows += (
            (int(i), label, score, outputs.labels[label] in present)
            for label, score in events_of(judged, thresholds=thresholds)
        )
    return listed(rows)


def labels_of(recording: Recording) -> set[str]:
    """Return the labels that an event in a recording may rightly have."""
    own = {recording.label} if recording.role == "known" else set()
    return own | set(recording.secondary_labels)


def events_of(
    judged: Judgements, *, thresholds: NDArray[np.float32] | None
) -> list[tuple[int, float]]:
    """Return the label and the best score of each named event, in the order of their starts.

    `thresholds` (K,) are those of a bundle whose windows may carry several labels, else None.
    """
    scores, novelty = _smoothed(judged)
    begun: list[_Event] = []
    going_on: dict[int, _Event] = {}
    for i in range(len(novelty)):
        start_s, end_s = float(judged.start_s[i]), float(judged.end_s[i])
        for label in _carried(scores[i], float(novelty[i]), thresholds):
            event = going_on.get(label)
            if event is None or event.is_over(start_s, end_s):
                event = going_on[label] = _Event(label=label, start_s=start_s, end_s=end_s)
                begun.append(event)
            event.add(end_s, float(scores[i, label]))
    return [(event.label, event.score) for event in begun]


@dataclass(kw_only=True)
class _Event:
    label: int
    start_s: float
    end_s: float
    score: float = 0.0

    def is_over(self, start_s: float, end_s: float) -> bool:
        """Return whether a window that carries the label begins another event."""
        return start_s - self.end_s > COOLDOWN_S or end_s - self.start_s > LONGEST_S

    def add(self, end_s: float, score: float) -> None:
        self.end_s, self.score = max(self.end_s, end_s), max(self.score, score)


def _smoothed(judged: Judgements) -> tuple[NDArray[np.float32], Floats]:
    """Return scores (W, K) and novelty (W,), each averaged with those of the two neighbours by the
    share of the window's sound that they have too.
    """
    start_s, end_s = judged.start_s, judged.end_s
    total: NDArray[np.float64] = judged.scores.astype(np.float64)
    novelty = judged.novelty.astype(np.float64)
    weight = np.ones(len(novelty))
    shared = np.maximum(end_s[:-1] - start_s[1:], 0.0)
    for window, other, part in (
        (slice(1, None), slice(None, -1), shared / (end_s - start_s)[1:]),
        (slice(None, -1), slice(1, None), shared / (end_s - start_s)[:-1]),
    ):
        total[window] += part[:, None] * judged.scores[other]
        novelty[window] += part * judged.novelty[other]
        weight[window] += part
    return (total / weight[:, None]).astype(np.float32), novelty / weight


def _carried(
    scores: NDArray[np.float32], novelty: float, thresholds: NDArray[np.float32] | None
) -> Iterator[int]:
    if novelty > 0.5:
        return
    if thresholds is None:
        yield int(scores.argmax())
    else:
        yield from np.flatnonzero(scores >= thresholds).tolist()
