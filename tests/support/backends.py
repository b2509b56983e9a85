"""An inference engine of a few lines: the fake of the backend contract."""

from __future__ import annotations

import numpy as np

from edge.errors import BackendError
from edge.types import Array

__all__ = ["FixedBackend"]


class FixedBackend:
    """A fixed random projection of the features' mean over time; counts its calls."""

    def __init__(self, *, channels: int, n_mels: int, labels: int, dimensions: int = 8) -> None:
        rng = np.random.default_rng(0)
        self._embed = rng.standard_normal((channels * n_mels, dimensions)).astype(np.float32)
        self._classify = rng.standard_normal((dimensions, labels)).astype(np.float32)
        self.calls = 0

    def infer(self, features: Array) -> tuple[Array, Array]:
        if features.ndim != 4 or features.shape[1] * features.shape[2] != len(self._embed):
            raise BackendError(f"features of shape {features.shape} do not fit the network")
        self.calls += 1
        embedding = features.mean(axis=3).reshape(len(features), -1) @ self._embed
        embedding /= np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
        return embedding, embedding @ self._classify
