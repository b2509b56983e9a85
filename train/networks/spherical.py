"""Features learnt without labels: spherical k-means on whitened frames, a comparator of system S1.

Stowell and Plumbley 2014. Readings taken: the frames of all channels side by side are whitened by
their principal components; a frame's activations are its cosines to the bases, rectified; a window
is their mean and standard deviation over time. Bases are learnt batch by batch, each moved to the
direction of all the frames it has been given so far.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import SpecError

__all__ = ["SphericalKMeans"]

LEAST_VARIANCE = 1e-3  # of the first component's: whitening must not blow up what is noise


class SphericalKMeans(nn.Module):
    """(B, channels, F, T) -> embedding (B, 2 * bases) of unit length, twice.

    Its parameters move in `start` and `learn` only.
    """

    mean: Tensor
    whiten: Tensor
    weight: Tensor

    def __init__(self, channels: int, bands: int, *, bases: int = 500) -> None:
        super().__init__()
        if bases < 2:
            raise SpecError(f"network spherical_kmeans: bases {bases}: needs at least 2")
        width = channels * bands
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whiten", torch.zeros(width, width))
        self.register_buffer("weight", torch.zeros(bases))  # frames that each base stands for
        self.bases = nn.Parameter(functional.normalize(torch.randn(bases, width), dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        active = self._active(self._frames(x))
        spread = active.var(dim=1, unbiased=False).clamp(min=1e-8).sqrt()
        embedding = functional.normalize(torch.cat([active.mean(dim=1), spread], dim=1), dim=1)
        return embedding, embedding

    @property
    def whitened(self) -> bool:
        """Whether `start` has been called."""
        return bool(self.whiten.any())

    @torch.no_grad()
    def start(self, x: Tensor, rng: np.random.Generator) -> None:
        """Take whitening, and frames as bases, from windows (B, channels, F, T)."""
        frames = x.flatten(1, 2).transpose(1, 2).flatten(0, 1).double()
        self.mean.copy_(frames.mean(dim=0))
        variance, directions = torch.linalg.eigh(torch.cov(frames.T))
        least = LEAST_VARIANCE * float(variance[-1])
        self.whiten.copy_(directions / variance.clamp(min=least).sqrt())
        chosen = torch.from_numpy(rng.permutation(len(frames))[: len(self.bases)])
        self.bases[: len(chosen)] = self._frames(x).flatten(0, 1)[chosen]

    @torch.no_grad()
    def learn(self, x: Tensor) -> float:
        """Move every base towards its frames of the windows x.

        Returns the mean cosine of frames to their base before that.
        """
        frames = self._frames(x).flatten(0, 1)
        cosine, nearest = (frames @ self.bases.T).max(dim=1)
        sums = torch.zeros_like(self.bases).index_add_(0, nearest, frames)
        self.bases.copy_(functional.normalize(self.bases * self.weight[:, None] + sums, dim=1))
        self.weight += torch.bincount(nearest, minlength=len(self.weight))
        return float(cosine.mean())

    @torch.no_grad()
    def mean_cosine(self, x: Tensor) -> float:
        """Return the mean cosine of the frames of windows x to their nearest base."""
        frames = self._frames(x.to(self.mean.device)).flatten(0, 1)
        return float((frames @ self.bases.T).amax(dim=1).mean())

    def _active(self, frames: Tensor) -> Tensor:
        """Return how active each base is (B, T, bases) in frames (B, T, width)."""
        return torch.relu(frames @ self.bases.T)

    def _frames(self, x: Tensor) -> Tensor:
        """Return whitened frames of unit length (B, T, width)."""
        frames = x.flatten(1, 2).transpose(1, 2)
        return functional.normalize((frames - self.mean) @ self.whiten, dim=2)
