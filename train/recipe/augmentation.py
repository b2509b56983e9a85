"""The section `augment` of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from train.recipe.ranges import Decibels, Range, Share, Whole, check_order, check_ranges

__all__ = ["AugmentSpec"]

Level = Annotated[float, Range(0, 200)]
Half = Annotated[float, Range(0, 0.5)]
RANGES = ("noise_snr_db", "coloured_snr_db", "animals_snr_db")


@dataclass(frozen=True, kw_only=True)
class AugmentSpec:
    """How windows are changed before training; by default, not at all (as in S1).

    Changes are made in the power domain and, from `crop_top` on, to finished features
    (`train.windows.images`, S4). Each is an independent draw per window.
    """

    noise_share: Share = 0.0  # probability of mixing in noise, background or a quiet window
    noise_snr_db: tuple[Decibels, Decibels] = (0.0, 25.0)
    gain_db: Level = 0.0  # uniform within +- this, after the peak band is brought to full scale
    # A smooth random frequency response within +- this: another microphone, another distance.
    equaliser_db: Level = 0.0
    stretch: Annotated[float, Range(0, 0.9)] = (
        0.0  # time dilation within 1 +- this, about the middle of the window
    )
    # Time dilation of every window within 1 +- this, by more or less of its recording (S4).
    dilation: Half = 0.0
    shift_bands: Whole = 0  # shift along the mel axis within +- this
    time_shift_share: Share = 0.0  # probability of a circular shift in time
    masks: Annotated[int, Range(0, 1000)] = (
        0  # SpecAugment: this many masks per axis (Park et al. 2019)
    )
    # Probability of adding a window of another species, with a shared label (Zhang et al. 2018).
    mixup_share: Share = 0.0
    # The share is drawn from Beta(alpha, alpha), nearly equal shares with S5's 4 to 5; where alpha
    # is 0, uniformly from 0.2..0.8.
    mixup_alpha: Annotated[float, Range(0, 1000)] = 0.0
    # Probability of adding white or pink noise (`train.windows.noise`, S5).
    coloured_share: Share = 0.0
    coloured_snr_db: tuple[Decibels, Decibels] = (0.0, 25.0)  # below the window's loudest band
    # Probability of adding another animal that is none of the species (S5, stage shift).
    animals_share: Share = 0.0
    animals_snr_db: tuple[Decibels, Decibels] = (0.0, 25.0)
    # Cut off up to this share of the height at the top ...
    crop_top: Half = 0.0
    crop_bottom: Annotated[float, Range(0, 0.4)] = 0.0  # ... and at the bottom, and resize the rest
    brightness: Share = 0.0  # add within +- this
    contrast: Share = 0.0  # times 1 +- this about each channel's mean
    saturation: Share = 0.0  # times 1 +- this about the mean of the channels
    hue: Half = 0.0  # turn the three channels into each other by +- this of a circle
    # Noise with a deviation up to this, or a slow change of brightness within +- this.
    grain: Share = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)
        check_order(self, *RANGES)
