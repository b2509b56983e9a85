"""Batches: windows -> augmentation -> the frontend's own levels -> arrays for the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.features import Frontend
from train.recipe.augmentation import AugmentSpec
from train.windows.augment import augment, mask, mix
from train.windows.dataset import TrainingWindows
from train.windows.images import distort
from train.windows.noise import ColouredNoise

__all__ = ["Batches", "either"]

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Example:
    """A window as the network sees it.

    `shares` (K + 1,) are those of a mixture, the last is 'other'; `labels` are (K,), `steps` (T',
    K).
    """

    features: Array
    shares: Array
    labels: Array
    steps: Array | None


def either(one: Array | None, other: Array | None) -> Array | None:
    """Return the time steps (T', K) of a mixture.

    A species is present where it is in either part, else unsure (NaN) where it is in either, else
    absent.
    """
    if one is None or other is None:
        return None
    mixed: Array = np.where((one == 1) | (other == 1), np.float32(1), one + other)
    return mixed


class Batches:
    """Draws batches of one recipe's windows; holds no random state of its own."""

    def __init__(self, windows: TrainingWindows, augmentation: AugmentSpec) -> None:
        self.windows, self.augmentation = windows, augmentation
        self._frontend = Frontend(windows.spec)
        self._noise = ColouredNoise(self._frontend)

    def per_class(
        self, rng: np.random.Generator, per_class: int, species: int | None = None
    ) -> tuple[Array, NDArray[np.int64]]:
        """Draw `per_class` windows of every species (Algorithm 1's mini-batch).

        `species` limits them to so many drawn at random. Returns features (B, C, F, T) and classes
        (B,).
        """
        count = len(self.windows.labels)
        everything = species is None or species >= count
        drawn = np.arange(count) if everything else np.sort(rng.permutation(count)[:species])
        classes = np.repeat(drawn, per_class)
        features = [self._features(rng, self.windows.known(rng, int(c))) for c in classes]
        return np.stack(features), classes

    def classification(
        self, rng: np.random.Generator, size: int, outlier_share: float
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        """Draw features (B, C, F, T), soft targets (B, K + 1) and classes (B,).

        The last column of the targets is 'other'; a class is -1 where a window is not pure.
        """
        examples = self._draw(rng, size, outlier_share)
        features = np.stack([e.features for e in examples])
        targets = np.stack([e.shares for e in examples])
        pure = (targets[:, :-1].max(axis=1) == 1) & (targets[:, -1] == 0)
        return features, targets, np.where(pure, targets.argmax(axis=1), -1)

    def labelled(
        self, rng: np.random.Generator, size: int, outlier_share: float
    ) -> tuple[Array, Array, Array | None]:
        """Draw features (B, C, F, T) and labels (B, K) of all that is heard.

        With pseudo labels it also returns those of time steps (B, T', K): 1 where a species is
        present, 0 where absent, NaN where unsure. A mixture has the labels of both its parts.
        """
        examples = self._draw(rng, size, outlier_share)
        steps = [e.steps for e in examples if e.steps is not None]
        features = np.stack([e.features for e in examples])
        labels = np.stack([e.labels for e in examples])
        return features, labels, np.stack(steps) if steps else None

    def _draw(self, rng: np.random.Generator, size: int, outlier_share: float) -> list[_Example]:
        others = self.windows.has_outliers and outlier_share > 0
        return [
            self._outlier(rng) if others and rng.random() < outlier_share else self._known(rng)
            for _ in range(size)
        ]

    def _outlier(self, rng: np.random.Generator) -> _Example:
        shares = np.zeros(len(self.windows.labels) + 1, np.float32)
        shares[-1] = 1
        features = self._features(rng, self.windows.outlier(rng))
        return _Example(
            features=features,
            shares=shares,
            labels=np.zeros_like(shares[:-1]),
            steps=self.windows.nothing(),
        )

    def _known(self, rng: np.random.Generator) -> _Example:
        species = len(self.windows.labels)
        label = int(rng.integers(species))
        first = self.windows.labelled(rng, label)
        power = first.power
        labels = first.labels
        steps = first.steps
        shares = np.zeros(species + 1, np.float32)
        shares[label if labels[label] else -1] = 1  # a marked pause is 'other'
        if rng.random() < self.augmentation.mixup_share:
            share, other = self._share(rng), int(rng.integers(species))
            second = self.windows.labelled(rng, other)
            # Shares of amplitude, so of power squared: at share 0.8 the second species is 12 dB
            # down and still counts 0.2.
            power = mix(power, second.power, other_db=float(20 * np.log10((1 - share) / share)))
            shares *= np.float32(share)
            shares[other if second.labels[other] else -1] += np.float32(1 - share)
            labels, steps = np.maximum(labels, second.labels), either(steps, second.steps)
        return _Example(
            features=self._features(rng, power), shares=shares, labels=labels, steps=steps
        )

    def _share(self, rng: np.random.Generator) -> float:
        """Draw the share of the first species in a mixture.

        It is never all or nothing, as the labels of both are to be true.
        """
        alpha = self.augmentation.mixup_alpha
        if alpha:
            return float(np.clip(rng.beta(alpha, alpha), 0.01, 0.99))
        return rng.uniform(0.2, 0.8)

    def _features(self, rng: np.random.Generator, power: Array) -> Array:
        spec = self.augmentation
        if spec.coloured_share and rng.random() < spec.coloured_share:
            power = mix(power, self._noise.draw(rng), other_db=-rng.uniform(*spec.coloured_snr_db))
        power = augment(power, spec=spec, windows=self.windows, rng=rng)
        features = distort(self._frontend.levels(power), spec=spec, rng=rng)
        return mask(features, count=spec.masks, rng=rng)
