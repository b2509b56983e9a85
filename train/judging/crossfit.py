"""Events of recordings that neither training nor the choice of thresholds has seen.

With few recordings none can be set aside for it: each fold is heard in turn by a system made
without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from edge.errors import UserError
from train.corpus.corpus import Corpus, Recording
from train.judging.calibrate import groups_of
from train.judging.calibration import Calibration
from train.judging.events import Events, events_in, joined
from train.windows.outputs import WindowOutputs

__all__ = ["BY_FOLDS", "BY_PARTS", "held_out_events", "turns_of_folds"]

BY_FOLDS = "each fold of recordists by a head that was made without it"
BY_PARTS = "each part of the recordists of validation by thresholds that were chosen without it"
FEWEST_FOLDS = 3  # to train, to choose thresholds, and to be heard
PARTS = 3


def turns_of_folds(corpus: Corpus) -> Iterator[Corpus]:
    """Yield the corpus once for each fold of dev, which is the test then; the next fold validates,
    the others train, and what was the test is not used.

    Recordings of a species that nobody else has recorded are left out of such a test: the system of
    that turn could not know it.
    """
    for fold in range(corpus.folds) if corpus.folds >= FEWEST_FOLDS else ():
        validation = (fold + 1) % corpus.folds
        placed = [_in_turn(r, fold, validation) for r in corpus.recordings]
        learnt = {r.label for r in placed if r.role == "known" and r.fold > 0}
        yield dataclasses.replace(
            corpus, recordings=tuple(_without_strangers(r, learnt) for r in placed)
        )


def _in_turn(recording: Recording, test: int, validation: int) -> Recording:
    if recording.split != "dev":
        return dataclasses.replace(recording, split="unused", fold=-1)
    if recording.fold == test:
        return dataclasses.replace(recording, split="test", fold=-1)
    return dataclasses.replace(recording, fold=0 if recording.fold == validation else 1)


def _without_strangers(recording: Recording, learnt: set[str]) -> Recording:
    if recording.split == "test" and recording.role == "known" and recording.label not in learnt:
        return dataclasses.replace(recording, split="unused")
    return recording


def held_out_events(
    corpus: Corpus,
    validation: WindowOutputs,
    calibrated: Callable[[WindowOutputs], Calibration],
    *,
    window_s: float,
) -> Events:
    """Return the events of windows of validation, part by part of its recordists, each by what
    `calibrated` makes of the windows of the other parts; parts for which it cannot are left out.
    """
    groups = groups_of(corpus, validation)
    names = np.unique(groups)
    np.random.default_rng(0).shuffle(names)
    found = []
    for part in np.array_split(names, PARTS):
        inside = np.isin(groups, part)
        try:
            head = calibrated(validation.select(~inside)).head
        except UserError:  # nothing known, or nothing else, is left
            continue
        found.append(events_in(corpus, validation.select(inside), head, window_s=window_s))
    return joined(found)
