"""What each level of `channels.py` computes: band power becomes the values a network takes."""

from __future__ import annotations

import bottleneck
import numpy as np
from numpy.typing import NDArray

from edge.bundle.channels import (
    FixedLevel,
    FloorLevel,
    Level,
    MaxLevel,
    NoLevel,
    PcenLevel,
    PowerLawLevel,
    QuantileLevel,
)

__all__ = ["compressed", "pcen", "power_to_db"]

Array = NDArray[np.float32]
AMIN = np.float32(1e-10)  # librosa's floor for power in dB: -100 dB re full scale
LEAST_RANGE_DB = np.float32(1e-3)  # a constant channel has no range to divide by


def compressed(power: Array, level: Level, *, hop_s: float) -> Array:
    """Return the power (n_mels, frames) of one channel of a window, compressed as `level` says.

    The frames are `hop_s` apart. The result has the same shape; it is in 0..1 but for PCEN, for
    power laws, and for what has no level.
    """
    match level:
        case MaxLevel():
            return _below_the_maximum(power, level)
        case FixedLevel():
            return _between_fixed_levels(power, level)
        case FloorLevel():
            return _above_the_background(power, level)
        case PcenLevel():
            return pcen(power, level, hop_s=hop_s)
        case QuantileLevel():
            return _between_quantiles(power, level)
        case PowerLawLevel() | NoLevel():
            return _raised(power, level)


def power_to_db(power: Array) -> Array:
    """Return 10 log10 of power, re full scale 1, with librosa's floor of 1e-10."""
    db: Array = 10 * np.log10(np.maximum(power, AMIN))
    return db


def pcen(power: Array, level: PcenLevel, *, hop_s: float) -> Array:
    """Return the per-channel energy normalisation of power (n_mels, frames).

    As `librosa.pcen`: the one-pole smoother of `time_constant_s` begins in its steady state for an
    input of 1.
    """
    import scipy.signal  # late: large

    constant = level.time_constant_s / hop_s
    b = (np.sqrt(1 + 4 * constant**2) - 1) / (2 * constant**2)
    steady = np.repeat([scipy.signal.lfilter_zi([b], [1, b - 1])], len(power), axis=0)
    smooth, _ = scipy.signal.lfilter([b], [1, b - 1], power.astype(np.float64), zi=steady)
    gain = np.exp(-level.gain * (np.log(level.eps) + np.log1p(smooth / level.eps)))
    normalised: Array = level.bias**level.power * np.expm1(
        level.power * np.log1p(power * gain / level.bias)
    )
    return normalised.astype(np.float32)


def _raised(power: Array, level: PowerLawLevel | NoLevel) -> Array:
    if isinstance(level, NoLevel):
        return power
    raised: Array = np.power(power, np.float32(level.exponent))
    return raised


def _below_the_maximum(power: Array, level: MaxLevel) -> Array:
    db = power_to_db(power)
    scaled: Array = np.maximum(1 + (db - db.max()) / np.float32(level.range_db), 0)
    return scaled


def _between_fixed_levels(power: Array, level: FixedLevel) -> Array:
    range_db = np.float32(level.ceiling_db - level.floor_db)
    scaled: Array = np.clip((power_to_db(power) - level.floor_db) / range_db, 0, 1)
    return scaled


def _above_the_background(power: Array, level: FloorLevel) -> Array:
    db = power_to_db(power)
    above_db = db - bottleneck.median(db, axis=1)[:, None]
    range_db = np.float32(level.below_db + level.above_db)
    scaled: Array = np.clip((above_db + level.below_db) / range_db, 0, 1)
    return scaled


def _between_quantiles(power: Array, level: QuantileLevel) -> Array:
    db = power_to_db(power)
    low, high = np.quantile(db, [level.low, level.high]).astype(np.float32)
    scaled: Array = np.clip((db - low) / max(high - low, LEAST_RANGE_DB), 0, 1)
    return scaled
