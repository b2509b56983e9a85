"""A top with one hidden layer, fitted to windows without PyTorch."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Layer, Top, rounded
from train.adapting.fitting import Floats, Ints, Matrix, Scale, cross_entropy
from train.adapting.targets import allowed, weights_of

__all__ = ["fit_hidden"]

UNITS = 64
STEPS = 400
BATCH = 512
RATE = 2e-3  # at the beginning; it falls to 0 along a cosine
DECAY = 1e-3
KEPT = 0.7  # of the hidden units in each step (dropout)
BETAS = 0.9, 0.999


def fit_hidden(
    blank: Top, embedding: Floats, logits: Floats, species: Ints, *, seed: int = 0
) -> Top:
    """Return `blank` with a hidden layer, fitted to W windows as `fit_linear` does.

    It is trained by AdamW (Loshchilov and Hutter 2019) with dropout, on batches in which a window
    is as often as it weighs. The same windows and seed give the same top.
    """
    rng = np.random.default_rng(seed)
    unit, own = blank.parts(embedding, logits)
    inputs = blank.inputs(unit, logits)
    scale = Scale.of(inputs, unit.shape[1])
    x = scale(inputs)
    classes = len(blank.bias)
    mask = allowed(species, classes)
    chance = weights_of(species, classes)
    chance /= chance.sum()
    even = np.full(BATCH, 1 / BATCH)
    network = _Network(x.shape[1], classes, rng)
    step = _AdamW(network.parameters)
    for i in range(STEPS):
        rows = rng.choice(len(x), BATCH, p=chance)
        kept = (rng.random((BATCH, UNITS)) < KEPT) / np.float32(KEPT)
        slopes = network.slopes(x[rows], own[rows], mask[rows], even, kept.astype(np.float32))
        step(slopes, RATE * 0.5 * (1 + np.cos(np.pi * i / STEPS)))
    return network.top(blank, scale)


class _Network:
    """Logits (B, K) = max(0, x @ a + b) @ c + d + gain * own, of rows x (B, D)."""

    def __init__(self, dimensions: int, classes: int, rng: np.random.Generator) -> None:
        def drawn(inputs: int, outputs: int) -> Floats:
            bound = inputs**-0.5
            return rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)

        self.parameters: list[NDArray[np.float32]] = [
            drawn(dimensions, UNITS),
            np.zeros(UNITS, np.float32),
            drawn(UNITS, classes),
            np.zeros(classes, np.float32),
            np.ones(1, np.float32),  # the gain
        ]

    def slopes(
        self,
        x: Floats,
        own: Floats,
        mask: NDArray[np.bool_],
        weight: NDArray[np.float64],
        kept: Floats,
    ) -> list[Floats]:
        """Return the slope of the loss for each parameter."""
        a, b, c, d, gain = self.parameters
        before = x @ a + b
        hidden = np.maximum(before, 0) * kept
        z = hidden @ c + d + gain * own
        gradient = cross_entropy(z, mask, weight)[1].astype(np.float32)
        below = gradient @ c.T * kept * (before > 0)
        total = np.array([(gradient * own).sum()], np.float32)
        return [x.T @ below, below.sum(0), hidden.T @ gradient, gradient.sum(0), total]

    def top(self, blank: Top, scale: Scale) -> Top:
        """Return what it has learnt, as it is stored."""
        a, b, c, d, gain = self.parameters
        return dataclasses.replace(
            blank,
            hidden=Layer.rounded(scale.of_weights(a), b - scale.shift(a)),
            weights=rounded(c),
            bias=d,
            gain=float(gain[0]),
        )


class _AdamW:
    """Steps against slopes, each parameter by its own size; weights decay, biases do not."""

    def __init__(self, parameters: list[Floats]) -> None:
        self._parameters = parameters
        self._first: list[Matrix] = [np.zeros(p.shape) for p in parameters]
        self._second: list[Matrix] = [np.zeros(p.shape) for p in parameters]
        self._count = 0

    def __call__(self, slopes: list[Floats], rate: float) -> None:
        self._count += 1
        one, two = BETAS
        for i, (parameter, slope) in enumerate(zip(self._parameters, slopes, strict=True)):
            self._first[i] += (1 - one) * (slope - self._first[i])
            self._second[i] += (1 - two) * (np.square(slope) - self._second[i])
            mean = self._first[i] / (1 - one**self._count)
            spread = np.sqrt(self._second[i] / (1 - two**self._count)) + 1e-8
            step = rate * mean / spread
            if parameter.ndim == 2:
                step += rate * DECAY * parameter
            np.subtract(parameter, step, out=parameter, casting="same_kind")
