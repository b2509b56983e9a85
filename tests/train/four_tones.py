"""Batches of four species that are told apart by a band each."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from train.windows.batches import Batches

__all__ = ["FourTones", "as_batches"]

Array = NDArray[np.float32]


class FourTones:
    """Stands for `Batches`: species c is band c of 8, one channel, 6 frames."""

    def per_class(
        self, rng: np.random.Generator, per_class: int, species: int | None = None
    ) -> tuple[Array, NDArray[np.int64]]:
        self.asked = (per_class, species)
        classes = np.repeat(rng.permutation(4)[: species or 4], per_class)
        return self._features(rng, classes), classes

    def classification(
        self, rng: np.random.Generator, size: int, outlier_share: float
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        classes = rng.integers(4, size=size)
        return self._features(rng, classes), np.eye(5, dtype=np.float32)[classes], classes

    def _features(self, rng: np.random.Generator, classes: NDArray[np.int64]) -> Array:
        features = 0.3 * rng.random((len(classes), 1, 8, 6), dtype=np.float32)
        features[np.arange(len(classes)), 0, classes] += 1
        return features


def as_batches(tones: FourTones) -> Batches:
    return cast(Batches, tones)
