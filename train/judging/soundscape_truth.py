"""Which species are in each row of annotated soundscapes, by the labels of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Label
from train.corpus.corpus import Recording
from train.corpus.soundscape import Mark, Soundscape
from train.corpus.species_match import Names

__all__ = ["RowTruth", "find_species", "row_truth"]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
LEAST_S = 0.25  # of a call, or half of it, that is in a row


@dataclass(frozen=True, kw_only=True)
class RowTruth:
    """N rows of R soundscapes: the position of their `recording` (N,), which of T species are
    `present` (N, T), and how many others are that cannot be answered, `missing` (N,), and so many
    in all of a recording `missing_in_all` (R,).
    """

    recording: Ints
    present: Mask
    missing: Ints
    missing_in_all: Ints

    @property
    def wanted(self) -> Ints:
        """How many species are in each row (N,); 0 is nocall."""
        wanted: Ints = self.present.sum(axis=1) + self.missing
        return wanted


def find_species(
    soundscapes: Sequence[Soundscape], labels: Sequence[Label], listed: Mask
) -> tuple[dict[Mark, int], dict[str, Mark]]:
    """Return the position of each mark's species among `labels`, -1 for one that may not be
    answered, and the first mark of each of these by its name.

    `listed` (K,) says which labels may be answered.
    """
    names = Names(labels)
    position: dict[Mark, int] = {}
    lacking: dict[str, Mark] = {}
    for mark in (mark for soundscape in soundscapes for mark in soundscape.marks):
        k = names.position(_named(mark))
        position[mark] = k if k >= 0 and listed[k] else -1
        if position[mark] < 0:
            lacking.setdefault(mark.name, mark)
    return position, lacking


def _named(mark: Mark) -> Recording:
    """Return a mark as what `Names` looks for: a table has one name, which may be of any kind."""
    return Recording(
        path=mark.table,
        role="known",
        label=mark.name,
        common_name=mark.common_name or mark.name,
        scientific_name=mark.scientific_name or mark.name,
    )


def row_truth(
    soundscapes: Sequence[Soundscape], position: Mapping[Mark, int], species: Sequence[int]
) -> RowTruth:
    """Return what is in the rows of all soundscapes; `species` (T,) are positions of labels."""
    column = {k: t for t, k in enumerate(species)}
    recording, present, missing = [], [], []
    for i, soundscape in enumerate(soundscapes):
        for start, end in soundscape.rows:
            inside = [mark for mark in soundscape.marks if _is_in(mark, start, end)]
            found = {position[mark] for mark in inside} - {-1}
            row = np.zeros(len(species), bool)
            row[[column[k] for k in found]] = True
            recording.append(i)
            present.append(row)
            missing.append(_lacking(inside, position))
    return RowTruth(
        recording=np.array(recording, np.int64),
        present=np.stack(present),
        missing=np.array(missing, np.int64),
        missing_in_all=np.array([_lacking(s.marks, position) for s in soundscapes], np.int64),
    )


def _lacking(marks: Sequence[Mark], position: Mapping[Mark, int]) -> int:
    return len({mark.name for mark in marks if position[mark] < 0})


def _is_in(mark: Mark, start_s: float, end_s: float) -> bool:
    common = min(mark.end_s, end_s) - max(mark.start_s, start_s)
    return common > 0 and common >= min(LEAST_S, (mark.end_s - mark.start_s) / 2)
