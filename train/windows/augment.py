"""Augmentation of mel power: what differs between a quiet recording and a recorder's in a forest.

Mixing happens in the power domain, where independent sounds add; arrays are (channels, n_mels,
frames) float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.recipe.augmentation import AugmentSpec
from train.windows.dataset import TrainingWindows

__all__ = ["augment", "mask", "mix", "to_peak_band"]

Array = NDArray[np.float32]


def to_peak_band(power: Array) -> Array:
    """Scale so that the loudest mel band of the first channel has mean power 1.

    Then 'SNR' means the same for any recording.
    """
    scaled: Array = power / (power[0].mean(axis=1).max() + np.float32(1e-12))
    return scaled


def mix(power: Array, other: Array, *, other_db: float) -> Array:
    """Return `power` with `other` under it at `other_db` relative to it.

    Both are first brought to the same peak band.
    """
    return to_peak_band(power) + to_peak_band(other) * np.float32(10 ** (other_db / 10))


def augment(
    power: Array, *, spec: AugmentSpec, windows: TrainingWindows, rng: np.random.Generator
) -> Array:
    """Draw once everything `spec` asks for, in the order a sound meets it.

    The order is place, air, microphone, gain.
    """
    if windows.has_outliers and rng.random() < spec.noise_share:
        power = mix(power, windows.interference(rng), other_db=-rng.uniform(*spec.noise_snr_db))
    if spec.animals_share and windows.has_animals and rng.random() < spec.animals_share:
        power = mix(power, windows.animal(rng), other_db=-rng.uniform(*spec.animals_snr_db))
    if spec.stretch and rng.random() < 0.5:
        power = _stretch(power, rng.uniform(1 - spec.stretch, 1 + spec.stretch))
    if spec.shift_bands:
        power = _shift_bands(power, int(rng.integers(-spec.shift_bands, spec.shift_bands + 1)))
    if rng.random() < spec.time_shift_share:
        power = np.roll(power, rng.integers(power.shape[2]), axis=2)
    if spec.equaliser_db:
        power = power * _response(power.shape[1], spec.equaliser_db, rng)[None, :, None]
    if spec.gain_db:
        gain_db = rng.uniform(-spec.gain_db, spec.gain_db)
        power = to_peak_band(power) * np.float32(10 ** (gain_db / 10))
    return power


def mask(features: Array, *, count: int, rng: np.random.Generator) -> Array:
    """Apply SpecAugment to finished features, in place.

    There are `count` masks of up to a tenth of the bands, and `count` of up to a ninth of the
    frames.
    """
    _, bands, frames = features.shape
    for _ in range(count):
        width, height = int(rng.integers(frames // 9)), int(rng.integers(1 + bands // 10))
        low, start = int(rng.integers(bands - height)), int(rng.integers(frames - width))
        features[:, low : low + height] = features.mean()
        features[:, :, start : start + width] = features.mean()
    return features


def _stretch(power: Array, factor: float) -> Array:
    frames = power.shape[2]
    positions = (np.arange(frames) - frames / 2) * factor + frames / 2
    return power[:, :, np.clip(positions, 0, frames - 1).astype(int)]


def _shift_bands(power: Array, bands: int) -> Array:
    """Shift along mel.

    The vacated edge repeats the last band, so that low rumble is not wrapped to the top.
    """
    index = np.clip(np.arange(power.shape[1]) - bands, 0, power.shape[1] - 1)
    return power[:, index]


def _response(bands: int, depth_db: float, rng: np.random.Generator) -> Array:
    """Draw a smooth random frequency response: (bands,) power gains.

    It has 3 to 6 support points, and is linear in dB between them.
    """
    points = int(rng.integers(3, 7))
    db = np.interp(
        np.linspace(0, points - 1, bands),
        np.arange(points),
        rng.uniform(-depth_db, depth_db, points),
    )
    return np.power(10, db / 10).astype(np.float32)
