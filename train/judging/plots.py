"""Pictures of an evaluation, as PNGs: confusion matrix, ROC, novelty by kind, map of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.files import replacing
from train.judging.embedding_map import draw_embeddings
from train.judging.figures import COLOURS, coarse_kinds, new_figure
from train.judging.judged import Judged
from train.judging.truth import KNOWN, QUIET
from train.windows.outputs import WindowOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion", "draw_plots"]


def draw_plots(
    outputs: WindowOutputs,
    windows: Judged,
    recordings: Judged,
    *,
    names: Sequence[str],
    out_dir: Path,
) -> None:
    """Write confusion.png, roc.png, novelty.png and embeddings.png into `out_dir`.

    `names` are the labels' common names.
    """
    pictures = {
        "confusion": _draw_confusion(recordings, names),
        "roc": _draw_roc(windows),
        "novelty": _draw_novelty(windows),
        "embeddings": draw_embeddings(outputs, windows, names),
    }
    for name, figure in pictures.items():
        with replacing(out_dir / f"{name}.png") as staged:
            figure.savefig(staged, dpi=130)


def confusion(judged: Judged, classes: int) -> NDArray[np.int64]:
    """Return recordings by truth and verdict (K + 2, K + 1).

    Rows are species, unknown species, noise; the last column is rejected.
    """
    truth = judged.truth
    rows = np.where(truth.unknown, classes, np.where(truth.noise, classes + 1, truth.species))
    columns = np.where(judged.accepted, judged.opened, classes)
    table = np.zeros((classes + 2, classes + 1), np.int64)
    counted = truth.known | truth.unknown | truth.noise
    np.add.at(table, (rows[counted], columns[counted]), 1)
    return table


def _draw_confusion(recordings: Judged, names: Sequence[str]) -> Figure:
    table = confusion(recordings, len(names))
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    size = 4 + 0.19 * len(names)
    figure = new_figure(size, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    rows = [*names, "unknown species", "noise, background"]
    counted = [f"{row} ({count})" for row, count in zip(rows, table.sum(1), strict=True)]
    _rule_cells(axes, counted, [*names, "rejected"])
    axes.hlines(len(names) - 0.5, -0.5, len(names) + 0.5, color="black", linewidth=0.8)
    axes.vlines(len(names) - 0.5, -0.5, len(names) + 1.5, color="black", linewidth=0.8)
    text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 5.5}
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(table[row, column]), color=colour, **text)
    axes.set(
        xlabel="heard as",
        ylabel="is (recordings)",
        title="Recordings, with rejection: number, and share of the row as colour",
    )
    figure.colorbar(image, ax=axes, shrink=0.4, pad=0.01)
    return figure


def _rule_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name the rows and columns of a matrix, and draw thin lines between its cells."""
    axes.set_xticks(np.arange(len(columns)), columns, rotation=90, fontsize=7)
    axes.set_yticks(np.arange(len(rows)), rows, fontsize=7)
    axes.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows)) - 0.5, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.tick_params(which="both", length=0)


def _draw_roc(windows: Judged) -> Figure:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = new_figure(5.5, 5)
    axes = figure.add_subplot()
    for kind, mask in coarse_kinds(windows).items():
        if kind in (KNOWN, QUIET):
            continue
        chosen = windows.truth.known | mask
        known, familiar = windows.truth.known[chosen], -windows.novelty[chosen]
        false_rate, true_rate, _ = roc_curve(known, familiar)
        area = roc_auc_score(known, familiar)
        axes.plot(false_rate, true_rate, color=COLOURS[kind], label=f"{kind}: AUROC {area:.3f}")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.axhline(0.95, color="#bbbbbb", linewidth=0.8)
    axes.set(
        xlabel="outlier windows accepted",
        ylabel="known windows accepted",
        title="Known against outliers, per window",
    )
    if len(axes.lines) > 2:  # with nothing to reject there are only the guide lines
        axes.legend(loc="lower right", fontsize=8)
    return figure


def _draw_novelty(windows: Judged) -> Figure:
    groups = coarse_kinds(windows)
    figure = new_figure(7, 1.5 * len(groups) + 0.8)
    low, high = np.percentile(windows.novelty, [0.5, 99.5])
    edges = np.linspace(low, high + 1e-6, 60).tolist()
    threshold = windows.novelty[windows.accepted].max(initial=low)
    first: Axes | None = None
    for i, (kind, mask) in enumerate(groups.items()):
        axes = figure.add_subplot(len(groups), 1, i + 1, sharex=first)
        first = first or axes
        shown = np.clip(windows.novelty[mask], low, high)
        axes.hist(shown, edges, weights=np.full(len(shown), 1 / len(shown)), color=COLOURS[kind])
        axes.axvline(threshold, color="black", linewidth=1, linestyle="--")
        title = f"{kind}: {windows.accepted[mask].mean():.1%} of {mask.sum()} windows accepted"
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_yticks([])
        axes.tick_params(labelbottom=i == len(groups) - 1)
    figure.supxlabel("raw novelty (dashed: threshold; accepted to its left)", fontsize=9)
    return figure
