"""Frontends in PyTorch, for batches of sound on a GPU: the same features as `edge.bundle` gives.

Those that a teacher or its pupil needs: mel bands, and stored bands of the real part.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.bundle.channels import REAL, ChannelSpec, FixedLevel, PowerLawLevel
from edge.bundle.mel import mel_filters
from edge.bundle.spec import FrontendSpec
from edge.bundle.transform import taper
from edge.errors import SpecError

__all__ = ["MelSpectra", "RealSpectra"]

AMIN = 1e-10  # as edge.bundle.compression
EPS = 1e-6  # of min-max scaling


class MelSpectra(nn.Module):
    """Power in mel bands (B, n_mels, T) of sound (B, n) at `rate_hz`, a multiple or more of the
    spec's own rate.

    Sound at a higher rate has the same bins where frames are as long in time; what is above half of
    the spec's rate is left out, as resampling would.
    """

    def __init__(self, spec: FrontendSpec, *, rate_hz: int) -> None:
        super().__init__()
        only = len(spec.channels) == 1 and spec.channels[0].component == "mel"
        if not only or not isinstance(spec.channels[0].level, FixedLevel) or spec.centred:
            raise SpecError(
                "frontend: to learn from a teacher, have one channel of mel bands with a fixed "
                "level, and frames that are not centred"
            )
        ratio = rate_hz / spec.sample_rate_hz
        sizes = [spec.n_fft * ratio, spec.hop_length * ratio]
        if ratio < 1 or any(size != round(size) for size in sizes):
            raise SpecError(
                f"frontend: n_fft {spec.n_fft} and hop_length {spec.hop_length} at "
                f"{spec.sample_rate_hz} Hz are no whole samples at the teacher's {rate_hz} Hz"
            )
        self.n_fft, self.hop = (round(size) for size in sizes)
        self.level = spec.channels[0].level
        filters = mel_filters(
            sample_rate_hz=spec.sample_rate_hz,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            fmin_hz=spec.fmin_hz,
            fmax_hz=spec.fmax_hz,
        )
        window = torch.from_numpy(taper(spec.window_function, self.n_fft).astype(np.float32))
        self.register_buffer("window", window / ratio, persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        bins = torch.stft(
            sound,
            self.n_fft,
            self.hop,
            window=self.get_buffer("window"),
            center=False,
            return_complex=True,
        )
        filters = self.get_buffer("filters")
        kept = bins[:, : filters.shape[1]]
        return filters @ (kept.real.square() + kept.imag.square())

    def levels(self, power: Tensor) -> Tensor:
        """Return the features (B, 1, n_mels, T) of power (B, n_mels, T)."""
        db = 10 * torch.log10(power.clamp_min(AMIN))
        depth_db = self.level.ceiling_db - self.level.floor_db
        return ((db - self.level.floor_db) / depth_db).clamp(0, 1).unsqueeze(1)


class RealSpectra(nn.Module):
    """Features (B, C, n_mels, T) of windows (B, n) for stored bands of the real part."""

    def __init__(self, spec: FrontendSpec, bands: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__()
        if any(
            c.component != REAL or not isinstance(c.level, PowerLawLevel) for c in spec.channels
        ):
            raise SpecError(
                "cannot be a teacher: its frontend has other channels than stored bands of the "
                "real part"
            )
        self.spec = spec
        for i, channel in enumerate(spec.channels):
            matrix = _matrix(spec, channel, bands)
            self.register_buffer(f"matrix_{i}", torch.from_numpy(matrix), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        if self.spec.scaling == "min_max":
            low, high = sound.amin(1, keepdim=True), sound.amax(1, keepdim=True)
            sound = 2 * (sound - low) / (high - low + EPS) - 1
        channels = [self._channel(i, sound) for i in range(len(self.spec.channels))]
        return torch.stack(channels, dim=1)

    def _channel(self, i: int, sound: Tensor) -> Tensor:
        channel, spec = self.spec.channels[i], self.spec
        assert isinstance(channel.level, PowerLawLevel)
        frames = sound.unfold(1, channel.n_fft or spec.n_fft, channel.hop_length or spec.hop_length)
        bands = (frames @ self.get_buffer(f"matrix_{i}")).transpose(1, 2)
        # Raised from the absolute value: a square of what is next to nothing would be lost.
        levels = bands.abs().clamp_min(1e-12) ** (2 * channel.level.exponent)
        return levels.flip(1) if channel.descending else levels


def _matrix(
    spec: FrontendSpec, channel: ChannelSpec, bands: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return what turns a frame (n_fft,) into its bands: a cosine transform, and weights."""
    n_fft = channel.n_fft or spec.n_fft
    assert channel.bands is not None
    weights = bands[channel.bands].astype(np.float64)
    needed = np.flatnonzero(weights.any(axis=0))
    turns = np.outer(needed, np.arange(n_fft)) % n_fft / n_fft
    cosines = np.cos(2 * np.pi * turns) * taper(spec.window_function, n_fft)
    whole: NDArray[np.float32] = (weights[:, needed] @ cosines).T.astype(np.float32)
    return whole
