"""Batches: windows -> augmentation -> the frontend's own levels -> arrays for the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.features import Frontend
from train.augment import augment, mask, mix
from train.dataset import TrainingWindows
from train.images import distort
from train.noise import ColouredNoise
from train.recipe import AugmentSpec

__all__ = ["Batches"]

Array = NDArray[np.float32]


class Batches:
    """Draws batches of one recipe's windows; holds no random state of its own."""

    def __init__(self, windows: TrainingWindows, augmentation: AugmentSpec) -> None:
        self.windows, self.augmentation = windows, augmentation
        self._frontend = Frontend(windows.spec)
        self._noise = ColouredNoise(self._frontend)

    def per_class(self, rng: np.random.Generator, per_class: int, species: int | None = None) -> tuple[Array, NDArray[np.int64]]:
        """`per_class` windows of every species (Algorithm 1's mini-batch), or of `species` of them drawn at random.

        Features (B, C, F, T) and classes (B,).
        """
        count = len(self.windows.labels)
        drawn = np.arange(count) if species is None or species >= count else np.sort(rng.permutation(count)[:species])
        classes = np.repeat(drawn, per_class)
        return np.stack([self._features(rng, self.windows.known(rng, int(c))) for c in classes]), classes

    def classification(self, rng: np.random.Generator, size: int, outlier_share: float) -> tuple[Array, Array, NDArray[np.int64]]:
        """Features (B, C, F, T), soft targets (B, K + 1), last column 'other', and classes (B,), -1 where not pure."""
        others = self.windows.has_outliers and outlier_share > 0
        draws = [self._outlier(rng) if others and rng.random() < outlier_share else self._known(rng) for _ in range(size)]
        features, targets = (np.stack(column) for column in zip(*draws, strict=True))
        pure = (targets[:, :-1].max(axis=1) == 1) & (targets[:, -1] == 0)
        return features, targets, np.where(pure, targets.argmax(axis=1), -1)

    def _outlier(self, rng: np.random.Generator) -> tuple[Array, Array]:
        target = np.zeros(len(self.windows.labels) + 1, np.float32)
        target[-1] = 1
        return self._features(rng, self.windows.outlier(rng)), target

    def _known(self, rng: np.random.Generator) -> tuple[Array, Array]:
        species = len(self.windows.labels)
        target = np.zeros(species + 1, np.float32)
        label = int(rng.integers(species))
        power = self.windows.known(rng, label)
        target[label] = 1
        if rng.random() < self.augmentation.mixup_share:
            share, second = self._share(rng), int(rng.integers(species))
            # shares of amplitude, so of power squared: at share 0.8 the second species is 12 dB down and still counts 0.2
            power = mix(power, self.windows.known(rng, second), other_db=float(20 * np.log10((1 - share) / share)))
            target *= np.float32(share)
            target[second] += np.float32(1 - share)
        return self._features(rng, power), target

    def _share(self, rng: np.random.Generator) -> float:
        """What the first species has of a mixture; never all or nothing, as the labels of both are to be true."""
        alpha = self.augmentation.mixup_alpha
        return float(np.clip(rng.beta(alpha, alpha), 0.01, 0.99)) if alpha else rng.uniform(0.2, 0.8)

    def _features(self, rng: np.random.Generator, power: Array) -> Array:
        spec = self.augmentation
        if spec.coloured_share and rng.random() < spec.coloured_share:
            power = mix(power, self._noise.draw(rng), other_db=-rng.uniform(*spec.coloured_snr_db))
        power = augment(power, spec=spec, windows=self.windows, rng=rng)
        return mask(distort(self._frontend.levels(power), spec=spec, rng=rng), count=spec.masks, rng=rng)
