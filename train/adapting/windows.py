"""Which windows of weakly labelled recordings hold their species.

Where the trunk has the label, those whose own logit is near the recording's best; a label that it
lacks is heard where most stands out. Of animals that are none of the labels it is where the trunk
hears any animal best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top
from train.adapting.answers import Answers

__all__ = ["holding"]

NEAR = 3.0  # logits below the recording's best


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
    return np.where(lacked, answers.active, near | ~animals)
