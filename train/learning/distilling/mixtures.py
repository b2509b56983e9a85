"""Batches of mixed sound, each unlike every other, with what is true of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from train.learning.distilling.places import Places
from train.learning.distilling.sounds import Sounds
from train.recipe.augmentation import AugmentSpec
from train.recipe.objectives import DistilSpec
from train.windows.dataset import INTERFERENCE_SHARES, OUTLIER_SHARES

__all__ = ["Mixture", "Mixtures", "disguised"]

Ints = NDArray[np.int64]
Names = NDArray[np.str_]
SECOND_KNOWN = 0.7  # of the animals mixed in, how many are of the species
KNOTS = 6  # of a random frequency response
WIDEST_MASK = 0.12  # of an axis
SILENCE = 1e-6  # root mean square below which nothing is made louder


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Sound (B, n), and the shares (B, K + 1) of the species in it, the last that of none."""

    sound: Tensor
    shares: Tensor


@dataclass(frozen=True, kw_only=True)
class Mixtures:
    """Draws mixtures of windows of `window` samples, of which a teacher hears `heard`."""

    sounds: Sounds
    places: Mapping[str, Places]
    spec: DistilSpec
    augment: AugmentSpec
    species: int
    window: int
    heard: int

    def draw(self, rng: np.random.Generator, count: int) -> Mixture:
        """Return `count` windows: an animal or something else, another animal, noise, a level."""
        outliers = rng.random(count) < self.spec.outlier_share
        kinds = np.where(outliers, self._any_of(rng, OUTLIER_SHARES, count), "known")
        second = np.where(rng.random(count) < SECOND_KNOWN, "known", "unknown")
        if "unknown" not in self.places:
            second[:] = "known"
        sound, species = self._drawn(rng, kinds)
        other_sound, other = self._drawn(rng, second)
        fainter = 10 ** (-rng.uniform(*self.spec.mixup_db, count) / 20)
        # Noise and pauses stay what they are.
        mixed = (rng.random(count) < self.spec.mixup_share) & np.isin(kinds, ("known", "unknown"))
        gain = np.where(mixed, fainter, 0.0)
        sound = self._with_noise(rng, sound + _column(gain, sound) * other_sound)
        level = 10 ** (rng.uniform(*self.spec.level_dbfs, count) / 20)
        sound = (_evened(sound) * _column(level, sound)).clamp(-1, 1)
        shares = torch.from_numpy(_shares(species, other, gain, self.species))
        return Mixture(sound=sound, shares=shares.to(sound.device))

    def _any_of(self, rng: np.random.Generator, shares: Mapping[str, float], count: int) -> Names:
        kinds = [kind for kind in shares if kind in self.places]
        weights = np.array([shares[kind] for kind in kinds])
        return rng.choice(kinds, count, p=weights / weights.sum())

    def _drawn(self, rng: np.random.Generator, kinds: Names) -> tuple[Tensor, Ints]:
        """Return windows (B, n) of one level, one of each of `kinds`, and their species (B,)."""
        starts, species = np.empty(len(kinds), np.int64), np.empty(len(kinds), np.int64)
        for kind in np.unique(kinds):
            of_kind = kinds == kind
            starts[of_kind], species[of_kind] = self.places[kind].draw(
                rng, int(of_kind.sum()), window=self.window, heard=self.heard
            )
        return _evened(self.sounds.cut(starts, self.window)), species

    def _with_noise(self, rng: np.random.Generator, sound: Tensor) -> Tensor:
        count = len(sound)
        noise, _ = self._drawn(rng, self._any_of(rng, INTERFERENCE_SHARES, count))
        below_db = rng.uniform(*self.augment.noise_snr_db, count)
        gain = np.where(rng.random(count) < self.augment.noise_share, 10 ** (-below_db / 20), 0.0)
        return _evened(sound) + _column(gain, sound) * noise


def disguised(
    features: Tensor, rng: np.random.Generator, *, augment: AugmentSpec, db: float
) -> Tensor:
    """Return features (B, 1, F, T) as another microphone would give them, with stretches hidden.

    One unit of a feature is `db` decibels. The teacher does not hear it so.
    """
    count, _, bands, frames = features.shape
    knots = rng.uniform(-augment.equaliser_db, augment.equaliser_db, (count, 1, KNOTS)) / db
    curve = torch.from_numpy(knots.astype(np.float32)).to(features.device)
    response = functional.interpolate(curve, size=bands, mode="linear", align_corners=True)
    features = (features + response[..., None]).clamp(0, 1)
    for _ in range(augment.masks):
        for axis, length in ((2, bands), (3, frames)):
            width = rng.integers(0, round(WIDEST_MASK * length) + 1, count)
            begin = rng.integers(0, length - width + 1)
            at = torch.arange(length, device=features.device)
            low, high = (_rows(edge, features) for edge in (begin, begin + width))
            hidden = (at >= low) & (at < high)
            shape = (count, 1, length, 1) if axis == 2 else (count, 1, 1, length)
            features = features.masked_fill(hidden.view(shape), 0.0)
    return features


def _evened(sound: Tensor) -> Tensor:
    """Return sound (B, n) at a root mean square of 1, without its mean."""
    sound = sound - sound.mean(1, keepdim=True)
    return sound / sound.square().mean(1, keepdim=True).sqrt().clamp_min(SILENCE)


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device)[:, None]


def _rows(values: Ints, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device)[:, None]


def _shares(
    first: Ints, second: Ints, gain: NDArray[np.float64], classes: int
) -> NDArray[np.float32]:
    """Return what a window is of (B, K + 1): the second by its gain beside the first.

    An animal that is none of the species takes nothing away from one that is, where it is fainter.
    """
    first, second = np.where(first < 0, classes, first), np.where(second < 0, classes, second)
    weight = np.where((second == classes) & (first < classes), 0.0, gain)
    rows = np.arange(len(first))
    shares = np.zeros((len(first), classes + 1), np.float32)
    np.add.at(shares, (rows, first), (1 / (1 + weight)).astype(np.float32))
    np.add.at(shares, (rows, second), (weight / (1 + weight)).astype(np.float32))
    return shares
