"""What a bundle says of rows of soundscapes, as a recorder decides, by several processes.

A row is heard by the window about its middle; where windows are shorter than rows, by several that
cover it, of which the best scores count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FP32
from edge.errors import UserError
from train.corpus.soundscape import Soundscape
from train.judging.ranking import ranks
from train.windows.listening import Listener, in_processes

__all__ = ["RowQuestion", "RowsHeard", "hear_rows", "row_windows"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
OVERLAP = 0.5  # of windows that are shorter than a row
AT_ONCE = 720  # rows, an hour, of which all scores are in memory


@dataclass(frozen=True, kw_only=True)
class RowQuestion:
    """What is asked of a bundle: the scores of `species` (T,), positions of its labels."""

    bundle: Path
    species: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RowsHeard:
    """What a bundle says of N rows of a soundscape with one list of species.

    `listed` (T,) says which of the asked species are in the list; for the others, scores and places
    say nothing. `scores` (N, T) are theirs, `place` (N, T) where each stands in the list by score
    of all labels that may be answered, 0 the first, and `place_of_all` (T,) the same by the best
    scores of the whole recording. `given` (N, T) says which the rows are given, `said` (N,) how
    many labels they are given, asked or not. In `place_decided` (N, T) these come first, then that
    there is nothing.
    """

    listed: Mask
    scores: Floats
    place: Ints
    place_decided: Ints
    place_of_all: Ints
    given: Mask
    said: Ints


def hear_rows(
    question: RowQuestion,
    soundscapes: Sequence[Soundscape],
    lists: Sequence[Sequence[Mask]],
    *,
    workers: int,
    at_once: int = AT_ONCE,
) -> Iterator[tuple[RowsHeard, ...] | str]:
    """Yield what the bundle says of each soundscape, in order; for one that cannot be read, why.

    So many rows are heard `at_once`. `lists` are, for each soundscape, which labels (K,) may be
    answered: an answer for each list.
    """
    items = list(zip(soundscapes, lists, strict=True))
    yield from in_processes(_RowEar, (question, at_once), items, workers=workers)


def row_windows(
    rows: Sequence[tuple[float, float]], window_s: float, seconds: float
) -> tuple[NDArray[np.float64], Ints]:
    """Return where the windows of rows start in a recording (W,), and of which row each is (W,)."""
    starts: list[float] = []
    row: list[int] = []
    latest = max(seconds - window_s, 0.0)
    for i, (start, end) in enumerate(rows):
        room = end - start - window_s
        # A window in the middle of the row, or as many as cover it.
        count = 1 if room <= 0 else 1 + int(np.ceil(room / (OVERLAP * window_s)))
        first, last = (start + room / 2,) * 2 if count == 1 else (start, start + room)
        found = np.clip(np.linspace(first, last, count), 0.0, latest)
        starts += found.tolist()
        row += [i] * count
    order = np.argsort(starts, kind="stable")
    return np.array(starts)[order], np.array(row, np.int64)[order]


class _RowEar:
    """One process's bundle, ready to hear."""

    def __init__(self, question: RowQuestion, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._listener = Listener(question.bundle, 1.0)
        self._bundle = self._listener.bundle
        self._network = self._bundle.networks[FP32]
        self._species = np.array(question.species, np.int64)

    def __call__(self, item: tuple[Soundscape, Sequence[Mask]]) -> tuple[RowsHeard, ...] | str:
        """Return what the bundle says of the rows by each list, or why they cannot be read."""
        soundscape, lists = item
        rows = soundscape.rows
        parts = [rows[i : i + self._at_once] for i in range(0, len(rows), self._at_once)]
        try:
            scored = [self._scored(soundscape, part, lists) for part in parts]
        except (OSError, RuntimeError, UserError) as exc:  # libsndfile's is the second
            return str(exc)
        return tuple(self._joined([part[i] for part in scored]) for i in range(len(lists)))

    def _scored(
        self, soundscape: Soundscape, rows: Sequence[tuple[float, float]], lists: Sequence[Mask]
    ) -> list[tuple[RowsHeard, Floats]]:
        """Return what the bundle says of some rows by each list, and the best scores (K,) in them.

        Raises `UserError` for sound that no network can judge.
        """
        window_s = self._bundle.frontend.window_s
        start_s, row = row_windows(rows, window_s, soundscape.seconds)
        embedding, logits = self._listener.at(soundscape.path, start_s)
        if not np.isfinite(logits).all():
            raise UserError("has samples that are no numbers")
        if self._network.top is not None:
            embedding, logits = self._network.top(embedding, logits)
        verdicts = self._network.head(embedding, logits)
        given = self._network.head.given(verdicts)
        return [
            self._rows(
                _best(verdicts.scores, row, listed, len(rows)),
                _any(self._allowed(given, logits, listed), row, len(rows)),
                listed,
            )
            for listed in lists
        ]

    def _allowed(self, given: Mask, logits: Floats, listed: Mask) -> Mask:
        """Return which labels (W, K) are left of those given, as a recorder with the list has it.

        With a margin nothing is left where an animal that is not listed outdoes all that are.
        """
        allowed: Mask = given & listed
        margin = self._bundle.manifest.list_margin
        others = ~listed & self._animals
        if margin is None or not (others.any() and listed.any()):
            return allowed
        outdone = logits[:, others].max(1) - logits[:, listed].max(1)
        kept: Mask = allowed & (outdone <= margin.threshold)[:, np.newaxis]
        return kept

    @property
    def _animals(self) -> Mask:
        animals: Mask = np.array([label.kind == "animal" for label in self._bundle.labels], bool)
        return animals

    def _rows(self, best: Floats, given: Mask, listed: Mask) -> tuple[RowsHeard, Floats]:
        rows = RowsHeard(
            listed=listed[self._species],
            scores=best[:, self._species],
            place=ranks(best)[:, self._species],
            # What is given comes first, then nothing, then the rest.
            place_decided=(ranks(best + 2 * given) + ~given)[:, self._species],
            place_of_all=self._species,
            given=given[:, self._species],
            said=given.sum(axis=1),
        )
        return rows, best.max(axis=0)

    def _joined(self, parts: Sequence[tuple[RowsHeard, Floats]]) -> RowsHeard:
        best = np.max([highest for _, highest in parts], axis=0, keepdims=True)
        columns = ("scores", "place", "place_decided", "given", "said")
        whole = {n: np.concatenate([getattr(rows, n) for rows, _ in parts]) for n in columns}
        place_of_all = ranks(best)[0, self._species]
        return RowsHeard(**whole, listed=parts[0][0].listed, place_of_all=place_of_all)


def _best(scores: Floats, row: Ints, listed: Mask, count: int) -> Floats:
    """Return the best scores (N, K) of the windows of each row; below all for what is not listed.

    So it takes no place from what is listed.
    """
    best = np.full((count, scores.shape[1]), -1, np.float32)
    np.maximum.at(best, row, np.where(listed, scores, -1))
    return best


def _any(given: Mask, row: Ints, count: int) -> Mask:
    """Return which labels (N, K) some window of each row is given."""
    of_row = np.zeros((count, given.shape[1]), bool)
    np.logical_or.at(of_row, row, given)
    return of_row
