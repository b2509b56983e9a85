"""Pictures of an evaluation, as PNGs: confusion matrix, ROC, novelty by kind, map of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.files import replacing
from train.judging.judged import Judged
from train.judging.truth import BACKGROUND, KNOWN, QUIET, UNKNOWN
from train.windows.outputs import WindowOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion", "draw_plots"]

MAPPED = 2000  # windows on the embedding map: more are slow to place and hide each other
COLOURS = {
    KNOWN: "#1b7837",
    UNKNOWN: "#c51b7d",
    "noise": "#4575b4",
    BACKGROUND: "#8c6d31",
    QUIET: "#999999",
}


def draw_plots(
    outputs: WindowOutputs,
    windows: Judged,
    recordings: Judged,
    *,
    names: Sequence[str],
    out_dir: Path,
) -> None:
    """Write confusion.png, roc.png, novelty.png and embeddings.png into `out_dir`; `names` are the
    labels' common names.
    """
    pictures = {
        "confusion": _draw_confusion(recordings, names),
        "roc": _draw_roc(windows),
        "novelty": _draw_novelty(windows),
        "embeddings": _draw_embeddings(outputs, windows, names),
    }
    for name, figure in pictures.items():
        with replacing(out_dir / f"{name}.png") as staged:
            figure.savefig(staged, dpi=130)


def confusion(judged: Judged, classes: int) -> NDArray[np.int64]:
    """Recordings by truth and verdict (K + 2, K + 1): rows are species, unknown species, noise; the
    last column is rejected.
    """
    truth = judged.truth
    rows = np.where(truth.unknown, classes, np.where(truth.noise, classes + 1, truth.species))
    columns = np.where(judged.accepted, judged.opened, classes)
    table = np.zeros((classes + 2, classes + 1), np.int64)
    counted = truth.known | truth.unknown | truth.noise
    np.add.at(table, (rows[counted], columns[counted]), 1)
    return table


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no display is asked for, and pyplot keeps no reference
    return figure


def _draw_confusion(recordings: Judged, names: Sequence[str]) -> Figure:
    table = confusion(recordings, len(names))
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    size = 4 + 0.19 * len(names)
    figure = _figure(size, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    rows, columns = [*names, "unknown species", "noise, background"], [*names, "rejected"]
    axes.set_xticks(np.arange(len(columns)), columns, rotation=90, fontsize=7)
    axes.set_yticks(
        np.arange(len(rows)),
        [f"{r} ({n})" for r, n in zip(rows, table.sum(1), strict=True)],
        fontsize=7,
    )
    axes.hlines(len(names) - 0.5, -0.5, len(names) + 0.5, color="black", linewidth=0.8)
    axes.vlines(len(names) - 0.5, -0.5, len(names) + 1.5, color="black", linewidth=0.8)
    axes.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows)) - 0.5, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.tick_params(which="both", length=0)
    for row, column in zip(*np.nonzero(table), strict=True):
        dark = shares[row, column] > 0.6
        axes.text(
            column,
            row,
            str(table[row, column]),
            ha="center",
            va="center",
            fontsize=5.5,
            color="white" if dark else "black",
        )
    axes.set(
        xlabel="heard as",
        ylabel="is (recordings)",
        title="Recordings, with rejection: number, and share of the row as colour",
    )
    figure.colorbar(image, ax=axes, shrink=0.4, pad=0.01)
    return figure


def _groups(judged: Judged) -> dict[str, NDArray[np.bool_]]:
    """Windows (N,) of each coarse kind that occurs."""
    truth = judged.truth
    masks = {
        KNOWN: truth.known,
        UNKNOWN: truth.unknown,
        "noise": truth.noise & (truth.kind != BACKGROUND),
        BACKGROUND: truth.kind == BACKGROUND,
        QUIET: truth.kind == QUIET,
    }
    return {kind: mask for kind, mask in masks.items() if mask.any()}


def _draw_roc(windows: Judged) -> Figure:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = _figure(5.5, 5)
    axes = figure.add_subplot()
    for kind, mask in _groups(windows).items():
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
    groups = _groups(windows)
    figure = _figure(7, 1.5 * len(groups) + 0.8)
    low, high = np.percentile(windows.novelty, [0.5, 99.5])
    edges = np.linspace(low, high + 1e-6, 60)
    threshold = windows.novelty[windows.accepted].max(initial=low)
    first: Axes | None = None
    for i, (kind, mask) in enumerate(groups.items()):
        axes = figure.add_subplot(len(groups), 1, i + 1, sharex=first)
        first = first or axes
        weights = np.full(mask.sum(), 1 / mask.sum())
        axes.hist(
            np.clip(windows.novelty[mask], low, high),
            edges.tolist(),
            weights=weights,
            color=COLOURS[kind],
        )
        axes.axvline(threshold, color="black", linewidth=1, linestyle="--")
        axes.set_title(
            f"{kind}: {windows.accepted[mask].mean():.1%} of {mask.sum()} windows accepted",
            fontsize=9,
            loc="left",
        )
        axes.set_yticks([])
        axes.tick_params(labelbottom=i == len(groups) - 1)
    figure.supxlabel("raw novelty (dashed: threshold; accepted to its left)", fontsize=9)
    return figure


def _draw_embeddings(outputs: WindowOutputs, windows: Judged, names: Sequence[str]) -> Figure:
    """A species is a number in its colour, at each of its windows; the outliers are dots."""
    rng = np.random.default_rng(0)
    shown = np.sort(rng.permutation(np.flatnonzero(windows.truth.kind != QUIET))[:MAPPED])
    place = _place(outputs.embedding[shown].astype(np.float64))
    kinds = {kind: mask[shown] for kind, mask in _groups(windows).items()}
    figure = _figure(11, 8)
    axes = figure.add_subplot()
    for kind, mask in kinds.items():
        if kind != KNOWN and mask.any():
            axes.scatter(
                place[mask, 0],
                place[mask, 1],
                s=6,
                color=COLOURS[kind],
                alpha=0.35,
                label=kind,
                linewidths=0,
            )
    species = windows.truth.species[shown]
    colours = _colours(len(names))
    for k, name in enumerate(names):
        own = place[species == k]
        for x, y in own:
            axes.text(
                x,
                y,
                str(k + 1),
                color=colours[k],
                fontsize=5,
                ha="center",
                va="center",
                clip_on=True,
            )
        axes.plot(
            [],
            [],
            linestyle="",
            marker="s",
            markersize=4,
            color=colours[k],
            label=f"{k + 1} {name}",
        )
    axes.update_datalim(place)
    axes.autoscale_view()
    axes.set(
        xticks=[],
        yticks=[],
        title=(
            "Embeddings of windows (t-SNE): neighbours are alike, distances across the map mean "
            "little"
        ),
    )
    columns = 1 + len(names) // 40
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1),
        fontsize=5.5,
        ncols=columns,
        frameon=False,
        handletextpad=0.3,
    )
    return figure


def _place(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two coordinates (N, 2): principal components, then t-SNE when there are enough windows for it
    to mean something.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    reduced = PCA(n_components=min(32, *embedding.shape), random_state=0).fit_transform(embedding)
    if len(reduced) < 50:
        return np.asarray(np.pad(reduced, ((0, 0), (0, 2)))[:, :2], np.float64)
    tsne = TSNE(perplexity=min(30, len(reduced) / 4), init="pca", max_iter=500, random_state=0)
    # its threads wait for each other: on a machine that also trains, minutes instead of seconds
    with threadpool_limits(1):
        placed = tsne.fit_transform(reduced)
    return np.asarray(placed, np.float64)


def _colours(count: int) -> list[tuple[float, float, float]]:
    """Distinct colours of similar darkness, neighbours in the list far apart in hue."""
    import colorsys

    return [
        colorsys.hls_to_rgb((i * 0.381966) % 1, 0.32 + 0.14 * (i % 3) / 2, 0.75)
        for i in range(count)
    ]
