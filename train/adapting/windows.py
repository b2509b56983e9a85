"""Which windows of weakly labelled recordings hold their species.

Where the trunk has the label, those whose own logit is near the recording's best. A label that it
lacks is heard where something stands out that the label's other recordings have, too. Of animals
that are none of the labels it is where the trunk hears any animal best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top
from edge.bundle.unit import at_length_1
from train.adapting.answers import Answers
from train.windows.listening import NEAR

__all__ = ["holding"]

AGREE = 0.05  # of cosine below the recording's best
FEWEST = 3  # recordings of a label that can agree


def holding(
    answers: Answers, species: NDArray[np.int64], animals: NDArray[np.bool_], top: Top
) -> NDArray[np.bool_]:
    """Return which windows (W,) are taken as what their recording is labelled with.

    `species` (W,) is the position of the recording's label, -1 for none of them; `animals` (W,)
    says whether it is an animal's. All windows of other sounds are taken.
    """
    own = np.where(species >= 0, top.own[np.maximum(species, 0)], -1)
    heard = answers.logits[np.arange(len(own)), np.maximum(own, 0)].astype(np.float32)
    known_to_trunk = own >= 0
    any_animal = answers.logits[:, np.append(top.others, top.own[top.own >= 0])].max(1)
    level = np.where(known_to_trunk, heard, any_animal.astype(np.float32))
    best = np.full(answers.recording.max(initial=-1) + 1, -np.inf, np.float32)
    np.maximum.at(best, answers.recording, level)
    near = level >= best[answers.recording] - NEAR
    lacked = animals & (species >= 0) & ~known_to_trunk
    agreed = answers.active.copy()
    for label in np.unique(species[lacked]):
        _agree(agreed, answers, np.flatnonzero(lacked & (species == label) & answers.active))
    return np.where(lacked, agreed, near | ~animals)


def _agree(agreed: NDArray[np.bool_], answers: Answers, windows: NDArray[np.int64]) -> None:
    """Take back those `windows` of one label that resemble its other recordings less than the best
    window of their own does.

    How much a window resembles another recording is the cosine of its embedding to the nearest one
    there; what counts is the mean over the other recordings.
    """
    recording = answers.recording[windows]
    own = np.unique(recording)
    if len(own) < FEWEST:
        return
    unit = at_length_1(answers.embedding[windows])
    cosine = unit @ unit.T
    nearest = np.stack([cosine[:, recording == i].max(1) for i in own], axis=1)
    nearest[recording[:, None] == own] = np.nan
    alike = np.nanmean(nearest, axis=1)
    best = np.array([alike[recording == i].max() for i in own])
    agreed[windows] = alike >= best[np.searchsorted(own, recording)] - AGREE
