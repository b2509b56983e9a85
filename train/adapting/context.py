"""Which of a trunk's labels tell a study's labels: those that rise where these are heard.

A species that the trunk lacks is often taken for the same few others, and one that it knows is
mistaken for few.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import BOUND, Top

__all__ = ["with_context"]

EACH = 3  # labels of the trunk for one of the study's
LEAST_SPREAD = 0.5  # added to each label's own, so that one that never rises is not looked at


def with_context(blank: Top, logits: NDArray[np.float32], species: NDArray[np.int64]) -> Top:
    """Return a top that looks at the labels that stand out in windows (W, N) of each species (W,).

    A label stands out by how far its mean logit in the windows of the species is above that in all
    windows, in spreads.
    """
    clipped = np.clip(logits, -BOUND, BOUND)
    mean, spread = clipped.mean(0), clipped.std(0) + LEAST_SPREAD
    found: set[int] = set()
    for k in np.unique(species[species >= 0]):
        above = (clipped[species == k].mean(0) - mean) / spread
        found.update(np.argsort(-above, kind="stable")[:EACH].tolist())
    return dataclasses.replace(blank, context=np.array(sorted(found), np.int64))
