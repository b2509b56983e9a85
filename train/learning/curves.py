"""The learning curves of a training: loss and accuracy, of training and of validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CURVES", "draw_curves", "epochs_since_the_best"]

CURVES = "learning_curves.png"
# What each half of the picture shows, and the keys of the history that it shows.
HALVES = {
    "loss": {"loss": "training", "validation_loss": "validation"},
    "accuracy": {"top1": "training", "validation_top1": "validation"},
}
LOSS = "validation_loss"


def epochs_since_the_best(history: Sequence[dict[str, float]]) -> int:
    """Return how many epochs came after that of least validation loss; 0 where there is none."""
    losses = [row.get(LOSS, math.nan) for row in history]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return len(losses) - 1 - losses.index(min(finite)) if finite else 0


def draw_curves(history: Sequence[dict[str, float]], folder: Path) -> None:
    """Draw loss and accuracy over the mini-batches into `folder`, whole; raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, curves) in zip(figure.subplots(1, 2), HALVES.items(), strict=True):
        _draw_half(axes, history, curves)
        axes.set(xlabel="mini-batches", ylabel=name)
    with replacing(folder / CURVES) as staged:
        figure.savefig(staged, format="png", dpi=120)


def _draw_half(axes: Axes, history: Sequence[dict[str, float]], curves: dict[str, str]) -> None:
    for (key, name), colour in zip(curves.items(), ("#27496d", "#d9822b"), strict=True):
        points = [(row["step"], row[key]) for row in history if key in row]
        if points:
            # A training of one epoch has a point and no line.
            axes.plot(*zip(*points, strict=True), ".-", label=name, color=colour)
    if axes.lines:
        axes.legend(loc="best", fontsize="small")
