"""Features of a learnt dictionary: sparse codes of whitened frames, a comparator of system S1.

Dictionary learning in mini-batches is that of Mairal et al. 2009, in scikit-learn. A frame's code
is what of its products with the atoms is above a threshold, which Coates and Ng 2011 found as good
as solving for the sparsest one, and which any engine computes. A window is the mean and standard
deviation of its codes' sizes over time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import SpecError
from train.networks.spherical import SphericalKMeans

__all__ = ["SparseDictionary"]

FRAMES_AT_ONCE = 256
MOST_FRAMES = 20_000  # by which the dictionary is learnt, drawn from all that are given


class SparseDictionary(SphericalKMeans):
    """(B, channels, F, T) -> embedding (B, 2 * bases) of unit length, twice.

    The dictionary is learnt in `start`, of frames of unit length; `learn` changes nothing more.
    """

    def __init__(
        self, channels: int, bands: int, *, bases: int = 128, sparsity: float = 0.2
    ) -> None:
        super().__init__(channels, bands, bases=bases)
        if not 0 < sparsity < 1:
            raise SpecError(f"network sparse_dictionary: sparsity {sparsity} is outside 0..1")
        self.sparsity = sparsity

    @torch.no_grad()
    def start(self, x: Tensor, rng: np.random.Generator) -> None:
        """Take whitening and the dictionary from windows (B, channels, F, T)."""
        from sklearn.decomposition import MiniBatchDictionaryLearning

        super().start(x, rng)
        frames = self._frames(x).flatten(0, 1).cpu().numpy()
        chosen = frames[np.sort(rng.permutation(len(frames))[:MOST_FRAMES])]
        learnt = MiniBatchDictionaryLearning(
            len(self.bases),
            alpha=self.sparsity,
            batch_size=FRAMES_AT_ONCE,
            max_iter=5,
            random_state=int(rng.integers(2**31)),
        ).fit(chosen)
        atoms = torch.from_numpy(learnt.components_).to(self.bases)
        self.bases.copy_(functional.normalize(atoms, dim=1))

    @torch.no_grad()
    def learn(self, x: Tensor) -> float:
        """Return the mean cosine of frames to their nearest atom; nothing is learnt."""
        return self.mean_cosine(x)

    def _active(self, frames: Tensor) -> Tensor:
        return torch.relu((frames @ self.bases.T).abs() - self.sparsity)
