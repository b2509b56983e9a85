"""The learning curves of a training: loss and accuracy, of training and of validation.

A training by triplets has a third part, as Figure 5 of Thakur et al. 2019: how many triplets a
mini-batch had, and the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CURVES", "draw_curves", "draw_triplets", "epochs_since_the_best"]

CURVES = "learning_curves.png"
History = Sequence[Mapping[str, float]]
# What a part of the picture shows, and the keys of the history that it shows.
PARTS = {
    "loss": {"loss": "training", "validation_loss": "validation"},
    "accuracy": {"top1": "training", "validation_top1": "validation"},
}
LOSS, TRIPLETS, MARGIN = "validation_loss", "triplets", "margin"
DARK, BRIGHT = "#27496d", "#d9822b"


def epochs_since_the_best(history: History) -> int:
    """Return how many epochs came after that of least validation loss; 0 where there is none."""
    losses = [row.get(LOSS, math.nan) for row in history]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return len(losses) - 1 - losses.index(min(finite)) if finite else 0


def draw_curves(history: History, folder: Path) -> None:
    """Draw loss and accuracy over the mini-batches into `folder`, whole; raises OSError.

    Of a training by triplets their number and the margin are drawn, too.
    """
    mined = _has_triplets(history)
    figure = _figure(4.5 * (2 + mined), 3.5)
    axes = figure.subplots(1, 2 + mined)
    for one, (name, curves) in zip(axes, PARTS.items(), strict=False):
        _draw_part(one, history, curves)
        one.set(xlabel="mini-batches", ylabel=name)
    if mined:
        _draw_mined(axes[2], history)
    _save(figure, folder / CURVES)


def draw_triplets(histories: Mapping[str, History], file: Path) -> bool:
    """Draw triplets and loss of each training by triplets among `histories` into `file`.

    Returns whether there is one.
    """
    mined = {name: history for name, history in histories.items() if _has_triplets(history)}
    if not mined:
        return False
    figure = _figure(9, 3 * len(mined))
    rows = figure.subplots(len(mined), 2, squeeze=False)
    for (left, right), (name, history) in zip(rows, mined.items(), strict=True):
        _draw_mined(left, history)
        _draw_part(right, history, {"loss": "training"})
        left.set_title(name)
        right.set(xlabel="mini-batches", ylabel="triplet loss")
    _save(figure, file)
    return True


def _has_triplets(history: History) -> bool:
    return any(TRIPLETS in row for row in history)


def _draw_part(axes: Axes, history: History, curves: Mapping[str, str]) -> None:
    for (key, name), colour in zip(curves.items(), (DARK, BRIGHT), strict=False):
        _draw_line(axes, history, key, name, colour)
    if axes.lines:
        axes.legend(loc="best", fontsize="small")


def _draw_mined(axes: Axes, history: History) -> None:
    """Draw the triplets of a mini-batch, the mean of each epoch, and the margin beside them."""
    _draw_line(axes, history, TRIPLETS, "triplets", DARK)
    axes.set(xlabel="mini-batches", ylabel="triplets of a mini-batch")
    axes.set_ylim(bottom=0)
    lines = [*axes.lines]
    if any(MARGIN in row for row in history):
        beside = axes.twinx()
        _draw_line(beside, history, MARGIN, "margin", BRIGHT)
        beside.set_ylabel("margin")
        beside.set_ylim(bottom=0)
        lines += beside.lines
    axes.legend(handles=lines, loc="lower left", fontsize="small")  # triplets begin as many


def _draw_line(axes: Axes, history: History, key: str, name: str, colour: str) -> None:
    points = [(row["step"], row[key]) for row in history if key in row]
    if points:
        # A training of one epoch has a point and no line.
        axes.plot(*zip(*points, strict=True), ".-", label=name, color=colour)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, file: Path) -> None:
    with replacing(file) as staged:
        figure.savefig(staged, format="png", dpi=120)
