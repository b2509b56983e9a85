"""Any bundle over any recordings, as the device hears them: each recording whole, by processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FP32, Bundle, Verdicts
from train.judging.events import Judgements, events_of
from train.windows.listening import Listened, Listener, in_processes

__all__ = ["Heard", "Question", "hear_all"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a bundle: which windows, and which of its N labels are looked at.

    `species` (K,) are the labels that the recordings are of, `listed` (N,) those that may be
    answered, `animals` (N,) those of species.
    """

    bundle: Path
    hop_s: float
    species: tuple[int, ...]
    listed: tuple[bool, ...]
    animals: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a bundle says of the W windows of one recording.

    They start at `start_s` (W,); something is heard in those that are `active` (W,). `scores` (W, K
    + 1) are those of the asked species, and that of the best of the other animals that are listed;
    `means` (K + 1,) the same of the mean over the active windows, or over all where none is.
    `listed` and `off_list` (W,) are the best logits of animals that are on the list, and that are
    not (-inf for none), `novelty` (W,) is that of the bundle's own rule, raw. `given` (W, K +
    1) says which of the labels windows have. `animal` (W,) is how surely an animal stands out, NaN
    where the bundle cannot tell; `named` (W,) says whether it has the label of any animal, on the
    list or not, and `other` (W,) that of another sound. `events` are the label and the best score
    of each event of an animal, on the list or not, as a recorder makes them.
    """

    start_s: NDArray[np.float64]
    active: Mask
    scores: Floats
    means: Floats
    listed: Floats
    off_list: Floats
    novelty: Floats
    given: Mask
    events: tuple[tuple[int, float], ...]
    animal: Floats
    named: Mask
    other: Mask


def hear_all(
    question: Question, recordings: Sequence[Path], *, workers: int
) -> Iterator[Heard | str]:
    """Yield what the bundle says of each recording, in their order; for one that cannot be read,
    the reason.
    """
    yield from in_processes(_Ear, (question,), recordings, workers=workers)


class _Ear:
    """One process's bundle, ready to hear."""

    def __init__(self, question: Question) -> None:
        self._listener = Listener(question.bundle, question.hop_s)
        self._network = self._listener.bundle.networks[FP32]
        listed, animals = np.array(question.listed), np.array(question.animals)
        self._animals = animals
        self._species = np.array(question.species, np.int64)
        remaining = listed & animals
        remaining[self._species] = False
        self._remaining = np.flatnonzero(remaining)
        self._listed = np.flatnonzero(listed & animals)
        self._off_list = np.flatnonzero(~listed & animals)

    def __call__(self, recording: Path) -> Heard | str:
        """Return what the bundle says of a recording, or why it cannot be read."""
        heard = self._listener.listen(recording)
        return heard if isinstance(heard, str) else self._judged(heard)

    def _judged(self, heard: Listened) -> Heard:
        embedding, logits, head = heard.embedding, heard.logits, self._network.head
        if self._network.top is not None:
            embedding, logits = self._network.top(embedding, logits)
        verdicts = head(embedding, logits)
        scores, given = verdicts.scores, head.given(verdicts)
        means = scores[heard.active if heard.active.any() else ...].mean(0, keepdims=True)
        return Heard(
            start_s=heard.start_s,
            active=heard.active,
            scores=self._asked(scores),
            means=self._asked(means)[0],
            listed=_best(logits, self._listed),
            off_list=_best(logits, self._off_list),
            novelty=np.asarray(head.rule.novelty(embedding, logits), np.float32),
            events=self._events(heard, head(embedding, logits)),
            animal=_animal(self._listener.bundle, heard),
            given=self._asked(np.where(given, scores, -1)) >= 0,
            named=np.logical_or.reduce(given[:, self._animals], axis=1),
            other=np.logical_or.reduce(given[:, ~self._animals], axis=1),
        )

    def _events(self, heard: Listened, verdicts: Verdicts) -> tuple[tuple[int, float], ...]:
        bundle = self._listener.bundle
        judged = Judgements(
            start_s=heard.start_s,
            end_s=heard.start_s + bundle.frontend.window_s,
            scores=verdicts.scores,
            novelty=verdicts.novelty,
        )
        found = events_of(judged, thresholds=bundle.label_thresholds)
        return tuple((k, score) for k, score in found if self._animals[k])

    def _asked(self, scores: Floats) -> Floats:
        """Return the scores (W, K + 1) that are looked at of those of all labels (W, N)."""
        others = scores[:, self._remaining].max(1, initial=-1)
        return np.column_stack([scores[:, self._species], others]).astype(np.float32)


def _animal(bundle: Bundle, heard: Listened) -> Floats:
    score = bundle.animal_score(heard.embedding, heard.logits)
    return np.full(len(heard.logits), np.nan, np.float32) if score is None else score


def _best(logits: Floats, labels: Ints) -> Floats:
    best: Floats = logits[:, labels].max(1, initial=-np.inf).astype(np.float32)
    return best
