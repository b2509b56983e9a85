"""What the pictures of an evaluation share: a figure without a display, kinds and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from train.judging.judged import Judged
from train.judging.truth import BACKGROUND, KNOWN, QUIET, UNKNOWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "coarse_kinds", "new_figure"]

COLOURS = {
    KNOWN: "#1b7837",
    UNKNOWN: "#c51b7d",
    "noise": "#4575b4",
    BACKGROUND: "#8c6d31",
    QUIET: "#999999",
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no display is asked for, and pyplot keeps no reference
    return figure


def coarse_kinds(judged: Judged) -> dict[str, NDArray[np.bool_]]:
    """Return which windows (N,) are of each coarse kind that occurs."""
    truth = judged.truth
    masks = {
        KNOWN: truth.known,
        UNKNOWN: truth.unknown,
        "noise": truth.noise & (truth.kind != BACKGROUND),
        BACKGROUND: truth.kind == BACKGROUND,
        QUIET: truth.kind == QUIET,
    }
    return {kind: mask for kind, mask in masks.items() if mask.any()}
