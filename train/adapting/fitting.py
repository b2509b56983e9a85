"""The top of a head, fitted to windows: a linear layer beside the trunk's own logits.

It is a softmax regression with the labels and 'none of these', whose logit is 0; the trunk's logits
of the labels that it knows are a fixed direction, of which only the gain is learnt. So a study's
head begins as good as its trunk and learns what the trunk does not know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top

__all__ = ["fit_top"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Vector = NDArray[np.float64]
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

    loss = _Loss(blank, embedding, logits, species, classes=len(labels))
    options = {"maxiter": STEPS}
    found = minimize(loss, loss.start, jac=True, method="L-BFGS-B", options=options).x
    weights, bias, gain = loss.parts(found)
    return Top(
        weights=(SPREAD * weights).astype(np.float32),
        bias=bias.astype(np.float32),
        gain=float(gain),
        own=blank.own,
        others=blank.others,
    )


class _Loss:
    """Weighted cross-entropy of windows and its slope, for parameters as one vector.

    That is weights (D, K), bias (K,) and the gain.
    """

    def __init__(
        self, blank: Top, embedding: Floats, logits: Floats, species: Ints, *, classes: int
    ) -> None:
        unit, self._own = blank.parts(embedding, logits)
        self._x = unit * np.float32(SPREAD)
        self._classes = classes
        self._weight = _weights(species, classes)
        self._target = np.where(species >= 0, species, classes)
        self._shape = self._x.shape[1], classes

    @property
    def start(self) -> Vector:
        """What the trunk says, as it is."""
        start = np.zeros(math.prod(self._shape) + self._classes + 1)
        start[-1] = 1.0
        return start

    def parts(self, parameters: Vector) -> tuple[Vector, Vector, float]:
        """Return weights, bias and gain of the vector."""
        size = math.prod(self._shape)
        return parameters[:size].reshape(self._shape), parameters[size:-1], float(parameters[-1])

    def __call__(self, parameters: Vector) -> tuple[float, Vector]:
        """Return the loss and its slope."""
        w, bias, gain = self.parts(parameters)
        z = self._x @ w.astype(np.float32) + bias + gain * self._own
        z = np.column_stack([z, np.zeros(len(z))])  # none of these
        z -= z.max(1, keepdims=True)
        rows = np.arange(len(z))
        power = np.exp(z)
        total = power.sum(1, keepdims=True)
        value = float((self._weight * (np.log(total[:, 0]) - z[rows, self._target])).sum())
        gradient = power / total
        gradient[rows, self._target] -= 1
        gradient = (gradient * self._weight[:, None])[:, : self._classes]
        slope = self._x.T @ gradient.astype(np.float32) + 2 * PENALTY * w
        parts = (slope.ravel(), gradient.sum(0), [(gradient * self._own).sum()])
        return value + PENALTY * float(np.square(w).sum()), np.concatenate(parts)


def _weights(species: Ints, classes: int) -> NDArray[np.float64]:
    """Return how much each window (W,) weighs: labels evenly, and all outliers half of them."""
    counts = np.bincount(species[species >= 0], minlength=classes)
    weight = np.where(species >= 0, EACH / np.maximum(counts[species], FEWEST), 0.0)
    outliers = species < 0
    if outliers.any():
        weight[outliers] = OUTLIERS * EACH * classes / outliers.sum()
    return weight
