"""Augmentation of finished features as if they were an image (system S4).

Sevilla and Glotin 2017, section 2.2. Arrays are (channels, bands, frames) float32, scaled by the
levels to 0..1. The paper runs "the Inception preprocessing" on three scales as red, green and blue;
that is TensorFlow's: brightness 32/255, contrast and saturation 0.5, hue 0.2, in any order. Two
readings are ours: grey is the mean of the channels, and hue turns the channels about the grey axis,
which needs no detour by HSV and leaves the mean as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from train.recipe.augmentation import AugmentSpec

__all__ = ["crop_height", "distort", "turn_hue"]

Array = NDArray[np.float32]


def distort(features: Array, *, spec: AugmentSpec, rng: np.random.Generator) -> Array:
    """Draw once what `spec` asks for: crop in frequency, colour, grain.

    The result is clipped to the range that features have. Where nothing is asked for, nothing is
    drawn: a recipe without these keys sees the same windows as before there were any.
    """
    ceiling = max(1.0, float(features.max()))  # PCEN may exceed 1
    if spec.crop_top or spec.crop_bottom:
        top, bottom = 1 - rng.uniform(0, spec.crop_top), rng.uniform(0, spec.crop_bottom)
        features = crop_height(features, top=top, bottom=bottom)
    depths = [
        (change, getattr(spec, name)) for name, change in COLOURS.items() if getattr(spec, name)
    ]
    for i in rng.permutation(len(depths)) if depths else ():
        change, depth = depths[i]
        features = change(features, rng.uniform(-depth, depth))
    if spec.grain:
        features = _grain(features, spec.grain, rng)
    return np.clip(features, 0, np.float32(ceiling))


def crop_height(features: Array, *, top: float, bottom: float) -> Array:
    """Return the bands between the shares `bottom` and `top` of the height.

    They are resized bilinearly to all of it; frames stay.
    """
    bands = features.shape[1]
    centres = np.clip(
        (np.arange(bands) + 0.5) * (top - bottom) + bottom * bands - 0.5, 0, bands - 1
    )
    below = np.floor(centres).astype(int)
    share = (centres - below).astype(np.float32)[:, None]
    lower, upper = features[:, below], features[:, np.minimum(below + 1, bands - 1)]
    cropped: Array = lower + share * (upper - lower)
    return cropped


def turn_hue(features: Array, turn: float) -> Array:
    """Turn three channels about the grey axis by `turn` of a circle; their mean stays.

    A third of a circle makes each channel the next.
    """
    angle = 2 * np.pi * turn
    # Rodrigues' rotation about (1, 1, 1): a circulant matrix, its first row for angles a third of a
    # circle apart.
    row = (1 + 2 * np.cos(angle + 2 * np.pi / 3 * np.arange(3))) / 3
    rotation = np.stack([np.roll(row, i) for i in range(3)]).astype(np.float32)
    turned: Array = np.einsum("ij,jbt->ibt", rotation, features)
    return turned


def _brighten(features: Array, amount: float) -> Array:
    return features + np.float32(amount)


def _contrast(features: Array, amount: float) -> Array:
    return _from(features.mean(axis=(1, 2), keepdims=True), features, amount)


def _saturate(features: Array, amount: float) -> Array:
    return _from(features.mean(axis=0, keepdims=True), features, amount)


def _from(centre: Array, features: Array, amount: float) -> Array:
    spread: Array = centre + np.float32(1 + amount) * (features - centre)
    return spread


COLOURS: dict[str, Callable[[Array, float], Array]] = {
    "brightness": _brighten,
    "contrast": _contrast,
    "saturation": _saturate,
    "hue": turn_hue,
}


def _grain(features: Array, depth: float, rng: np.random.Generator) -> Array:
    """Add the paper's "random noise or local brightness".

    It is independent noise, or as often a brightness that changes slowly with time.
    """
    if rng.random() < 0.5:
        noise = rng.standard_normal(features.shape, np.float32)
        return features + np.float32(rng.uniform(0, depth)) * noise
    points, frames = int(rng.integers(3, 7)), features.shape[2]
    slow = np.interp(
        np.linspace(0, points - 1, frames), np.arange(points), rng.uniform(-depth, depth, points)
    )
    return features + slow.astype(np.float32)
