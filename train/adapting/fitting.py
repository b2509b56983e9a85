"""A linear top, fitted to windows beside the trunk's own logits.

It is a softmax regression with the labels and 'none of these', whose logit is 0; the trunk's logits
of the labels that it knows are a fixed direction, of which only the gain is learnt. So a study's
head begins as good as its trunk and learns what the trunk does not know.
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top, rounded
from train.adapting.targets import allowed, weights_of
from train.judging.animal import SPREAD

__all__ = ["Matrix", "Scale", "Vector", "cross_entropy", "fit_column", "fit_linear", "one_thread"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
PENALTY = 5.0  # on half the sum of squares of the weights, beside a loss summed over windows
OTHERS = 4.0  # what other windows weigh more where one label is added, so that it takes few of them
STEPS = 60  # more fit the training people better, and others no better


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which arrays are multiplied by one thread.

    Several wait for each other longer than they gain, above all where other programs run, too.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn's

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def fit_linear(blank: Top, embedding: Floats, logits: Floats, species: Ints) -> Top:
    """Return `blank` with weights (D, K), bias (K,) and gain fitted to W windows.

    `embedding` (W, D) and `logits` (W, N) are the trunk's, `species` (W,) what they are
    (`train.adapting.targets`).
    """
    from scipy.optimize import minimize  # slow to import

    loss = _Loss(blank, embedding, logits, species)
    options = {"maxiter": STEPS}
    found = minimize(loss, loss.start, jac=True, method="L-BFGS-B", options=options).x
    weights, bias, gain = loss.parts(found)
    return dataclasses.replace(
        blank,
        weights=rounded(loss.scale.of_weights(weights)),
        bias=(bias - loss.scale.shift(weights)).astype(np.float32),
        gain=float(gain),
    )


def fit_column(
    top: Top, embedding: Floats, logits: Floats, species: Ints, *, column: int
) -> tuple[Floats, float]:
    """Return weights (H,) and bias of one label of a top, whose other labels stay as they are."""
    from scipy.optimize import minimize  # slow to import

    unit, own = top.parts(embedding, logits)
    features = top.features(unit, logits)
    scale = Scale.of(features, unit.shape[1] if top.hidden is None else 0)
    x = scale(features)
    fixed = features @ top.weights + top.bias + np.float32(top.gain) * own
    fixed[:, column] = np.float32(top.gain) * own[:, column]
    classes = len(top.bias)
    weight, mask = weights_of(species, classes), allowed(species, classes)
    weight[species != column] *= OTHERS

    def loss(parameters: Vector) -> tuple[float, Vector]:
        w, bias = parameters[:-1], parameters[-1]
        z = fixed.copy()
        z[:, column] += x @ w.astype(np.float32) + np.float32(bias)
        value, gradient = cross_entropy(z, mask, weight)
        own_gradient = gradient[:, column]
        slope = x.T @ own_gradient.astype(np.float32) + 2 * PENALTY * w
        return value + PENALTY * float(np.square(w).sum()), np.append(slope, own_gradient.sum())

    start = np.zeros(x.shape[1] + 1)
    # So that its own windows are even with none of these, wherever the trunk's logit has them.
    start[-1] = -float(fixed[species == column, column].mean())
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return rounded(scale.factor * found[:-1]), float(found[-1] - scale.shift(found[:-1]))


def cross_entropy(
    z: NDArray[np.floating], mask: NDArray[np.bool_], weight: Vector
) -> tuple[float, Matrix]:
    """Return the loss of logits (W, K), and its slope (W, K).

    The loss of a window is minus the log probability of what it may be, `mask` (W, K + 1), times
    its `weight` (W,); the last is 'none of these', whose logit is 0.
    """
    z = np.column_stack([z, np.zeros(len(z), z.dtype)])
    z -= z.max(1, keepdims=True)
    power = np.exp(z)
    may = power * mask
    total, of_may = power.sum(1, keepdims=True), np.maximum(may.sum(1, keepdims=True), 1e-30)
    value = float((weight * (np.log(total) - np.log(of_may))[:, 0]).sum())
    gradient = (power / total - may / of_may) * weight[:, None]
    return value, gradient[:, :-1]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Makes an embedding and a trunk's logits (W, D + S) of one size: x = (inputs - mean) * factor.

    `mean` and `factor` are (D + S,). What is learnt on x is turned into what stands on the inputs.
    """

    mean: NDArray[np.float32]
    factor: NDArray[np.float32]

    @classmethod
    def of(cls, inputs: Floats, dimensions: int) -> Scale:
        """Return what suits inputs (W, D + S) of an embedding with so many `dimensions`."""
        mean = np.zeros(inputs.shape[1], np.float32)
        factor = np.full(inputs.shape[1], SPREAD, np.float32)
        logits = inputs[:, dimensions:]
        if logits.shape[1]:
            mean[dimensions:] = logits.mean(0)
            length = np.sqrt(np.square(logits - mean[dimensions:]).sum(1).mean())
            factor[dimensions:] = SPREAD / max(float(length), 1e-6)
        return cls(mean=mean, factor=factor)

    def __call__(self, inputs: Floats) -> Floats:
        result: Floats = (inputs - self.mean) * self.factor
        return result

    def of_weights(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return weights (D + S, J) on x as weights on the inputs."""
        of_inputs: NDArray[Any] = self.factor[:, np.newaxis] * weights
        return of_inputs

    def shift(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return what the mean adds to J sums with weights (D + S, J) on x."""
        sums: NDArray[Any] = (self.mean * self.factor) @ weights
        return sums


class _Loss:
    """Weighted cross-entropy of windows and its slope, for parameters as one vector.

    That is weights (D, K), bias (K,) and the gain.
    """

    def __init__(self, blank: Top, embedding: Floats, logits: Floats, species: Ints) -> None:
        unit, self._own = blank.parts(embedding, logits)
        inputs = blank.inputs(unit, logits)
        self.scale = Scale.of(inputs, unit.shape[1])
        self._x = self.scale(inputs)
        self._classes = len(blank.bias)
        self._weight = weights_of(species, self._classes)
        self._allowed = allowed(species, self._classes)
        self._shape = self._x.shape[1], self._classes

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
        z = self._x @ w.astype(np.float32) + bias.astype(np.float32) + np.float32(gain) * self._own
        value, gradient = cross_entropy(z, self._allowed, self._weight)
        slope = self._x.T @ gradient.astype(np.float32) + 2 * PENALTY * w
        parts = (slope.ravel(), gradient.sum(0), [(gradient * self._own).sum()])
        return value + PENALTY * float(np.square(w).sum()), np.concatenate(parts)
