"""What windows are, as a top is fitted to them, and how much each weighs.

A number stands for it: the position of the label that is heard, `NONE` for none of the labels, and
`is_not(k)` for a window of which only this is known, that it is not label k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NONE", "allowed", "is_not", "weights_of"]

NONE = -1
EACH = 30.0  # windows that a label weighs, however many it has
FEWEST = 5
OUTLIERS = 0.5  # what all windows of none of the labels weigh, beside all labels

Ints = NDArray[np.int64]


def is_not(label: int) -> int:
    """Return what stands for a window that is anything but this label."""
    return NONE - 1 - label


def allowed(species: Ints, classes: int) -> NDArray[np.bool_]:
    """Return what each window may be (W, K + 1), of K classes and none of these."""
    mask = np.zeros((len(species), classes + 1), bool)
    rows = np.arange(len(species))
    mask[rows, np.where(species >= 0, species, classes)] = True
    denied = species < NONE
    mask[denied] = True
    mask[rows[denied], NONE - 1 - species[denied]] = False
    return mask


def weights_of(species: Ints, classes: int) -> NDArray[np.float64]:
    """Return how much each window (W,) weighs: labels evenly, and all outliers half of them."""
    counts = np.bincount(species[species >= 0], minlength=classes)
    weight = np.where(species >= 0, EACH / np.maximum(counts[species], FEWEST), 1.0)
    outliers = species == NONE
    if outliers.any():
        weight[outliers] = OUTLIERS * EACH * classes / outliers.sum()
    return weight
