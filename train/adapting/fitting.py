"""The top of a head, fitted to windows: a linear layer beside the trunk's own logits.

It is a softmax regression with the labels and 'none of these', whose logit is 0; the trunk's logits
of the labels that it knows are a fixed direction, of which only the gain is learnt. So a study's
head begins as good as its trunk and learns what the trunk does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top

__all__ = ["fit_top"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
SPREAD = 15.0  # of the embedding's unit length: what makes the penalty of one size for all trunks
PENALTY = 5.0  # on half the sum of squares of the weights, beside a loss summed over windows
STEPS = 120
EACH = 30.0  # windows that a label weighs, however many it has
FEWEST = 5
OUTLIERS = 0.5  # what all windows of none of the labels weigh, beside all labels


def fit_top(
    blank: Top, embedding: Floats, logits: Floats, species: Ints, *, labels: Sequence[str]
) -> Top:
    """Return `blank` with weights (D, K), bias (K,) and gain fitted to W windows.

    `embedding` (W, D) and `logits` (W, N) are the trunk's, `species` (W,) the position of the
    label that is heard, -1 for none of them.
    """
    from scipy.optimize import minimize  # slow to import

    looked_at, own = blank.parts(embedding, logits)
    x = looked_at * np.float32(SPREAD)
    classes, dimensions = len(labels), x.shape[1]
    weight = _weights(species, classes)
    target = np.where(species >= 0, species, classes)
    size = dimensions * classes

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = parameters[:size].reshape(dimensions, classes)
        z = x @ w.astype(np.float32) + parameters[size:-1] + parameters[-1] * own
        z = np.column_stack([z, np.zeros(len(z))])
        z -= z.max(1, keepdims=True)
        power = np.exp(z)
        total = power.sum(1, keepdims=True)
        gradient = power / total
        rows = np.arange(len(z))
        value = float((weight * (np.log(total[:, 0]) - z[rows, target])).sum())
        gradient[rows, target] -= 1
        gradient = (gradient * weight[:, None])[:, :classes]
        slope = x.T @ gradient.astype(np.float32) + 2 * PENALTY * w
        return value + PENALTY * float(np.square(w).sum()), np.concatenate(
            [slope.ravel(), gradient.sum(0), [(gradient * own).sum()]]
        )

    start = np.zeros(size + classes + 1)
    start[-1] = 1.0
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return Top(
        weights=(SPREAD * found[:size].reshape(dimensions, classes)).astype(np.float32),
        bias=found[size:-1].astype(np.float32),
        gain=float(found[-1]),
        own=blank.own,
        others=blank.others,
    )


def _weights(species: Ints, classes: int) -> NDArray[np.float64]:
    """Return how much each window (W,) weighs: labels evenly, and all outliers half of them."""
    counts = np.bincount(species[species >= 0], minlength=classes)
    weight = np.where(species >= 0, EACH / np.maximum(counts[species], FEWEST), 0.0)
    outliers = species < 0
    if outliers.any():
        weight[outliers] = OUTLIERS * EACH * classes / outliers.sum()
    return weight
