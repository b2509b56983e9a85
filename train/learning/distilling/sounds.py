"""Recordings as one long line of samples in the memory of the device that trains."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.corpus.corpus import Recording
from train.windows.audio import loop_to, read_audio
from train.windows.cache import MAX_S

__all__ = ["Sounds", "load_sounds"]

FULL_SCALE = 32767.0


@dataclass(frozen=True)
class Sounds:
    """Recordings, number i from `starts[i]` to `ends[i]` of `samples` (n,) int16 at `rate_hz`."""

    samples: Tensor
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rate_hz: int

    def cut(self, starts: NDArray[np.int64], length: int) -> Tensor:
        """Return stretches (B, length) float32 in -1..1 that begin at samples (B,)."""
        parts = [self.samples[start : start + length] for start in starts]
        return torch.stack(parts).float() / FULL_SCALE


def load_sounds(
    recordings: Sequence[Recording],
    *,
    rate_hz: int,
    least: int,
    device: torch.device,
    workers: int,
) -> Sounds:
    """Return the recordings, of each its first `MAX_S` seconds; a shorter one than `least` samples
    is looped.
    """
    read = partial(_samples, rate_hz=rate_hz, least=least)
    paths = [r.path for r in recordings]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(read, paths, chunksize=8))
    ends = np.cumsum([len(part) for part in parts])
    return Sounds(
        samples=torch.from_numpy(np.concatenate(parts)).to(device),
        starts=ends - [len(part) for part in parts],
        ends=ends,
        rate_hz=rate_hz,
    )


def _samples(path: Path, *, rate_hz: int, least: int) -> NDArray[np.int16]:
    samples = loop_to(read_audio(path, rate_hz, max_s=MAX_S), least)
    return np.round(np.clip(samples, -1, 1) * FULL_SCALE).astype(np.int16)
