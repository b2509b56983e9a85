"""What decides where windows are cut from recordings, and what is true of one that was cut."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus.corpus import Recording
from train.recipe.sections import CropSpec
from train.windows.pseudo import PseudoLabels

__all__ = ["Drawn", "Sampling", "runs", "short_enough"]

log = logging.getLogger(__name__)
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What a recipe says of where windows are cut and what is true of them.

    By default, a window has its recording's label. With `dilation` it is of up to so much more or
    less of the recording than its length.
    """

    crop: CropSpec | None = None
    secondary: float = 0.0
    pseudo: PseudoLabels | None = None
    dilation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A window of a recording of a species: mel power (channels, n_mels, frames) and its labels.

    `labels` (K,): 1 for the species, less for one in the background, all 0 where a person heard no
    call. `steps` (T', K), where there are pseudo labels: 1 where a species is present, 0 where it
    is absent, NaN where that is unsure.
    """

    power: Array
    labels: Array
    steps: Array | None


def short_enough(
    recordings: Iterable[Recording], crop: CropSpec | None, labels: Iterable[str]
) -> list[Recording]:
    """Return the recordings without those of species that are too long for smart crops.

    A species that has no shorter ones keeps them, with a warning.
    """
    everything = list(recordings)
    if crop is None:
        return everything
    known = set(labels)
    fits = {r.label for r in everything if r.role == "known" and r.seconds <= crop.longest_s}
    for label in sorted({r.label for r in everything if r.role == "known"} & known - fits):
        log.warning(
            "%s has no recording of up to %g s: its longer ones are kept", label, crop.longest_s
        )
    return [
        r
        for r in everything
        if r.role != "known" or r.label not in known & fits or r.seconds <= crop.longest_s
    ]


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return first frame and the one after the last of each stretch, (N, 2).

    `mask` (frames,) is true in a stretch.
    """
    borders = np.flatnonzero(np.diff(np.r_[False, mask, False]))
    return borders.reshape(-1, 2).astype(np.int64)
