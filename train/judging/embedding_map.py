"""The map of an evaluation: embeddings of windows on a plane."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from train.judging.figures import COLOURS, coarse_kinds, new_figure
from train.judging.judged import Judged
from train.judging.truth import KNOWN, QUIET
from train.windows.outputs import WindowOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["colours", "draw_embeddings", "place_on_a_plane"]

MAPPED = 2000  # windows on the map: more are slow to place and hide each other
TITLE = "Embeddings of windows (t-SNE): neighbours are alike, distances across the map mean little"


def draw_embeddings(outputs: WindowOutputs, windows: Judged, names: Sequence[str]) -> Figure:
    """Draw a species as a number in its colour at each of its windows, and outliers as dots."""
    rng = np.random.default_rng(0)
    shown = np.sort(rng.permutation(np.flatnonzero(windows.truth.kind != QUIET))[:MAPPED])
    place = place_on_a_plane(outputs.embedding[shown].astype(np.float64))
    figure = new_figure(11, 8)
    axes = figure.add_subplot()
    _draw_outliers(axes, place, {kind: m[shown] for kind, m in coarse_kinds(windows).items()})
    _draw_species(axes, place, windows.truth.species[shown], names)
    axes.update_datalim(place)
    axes.autoscale_view()
    axes.set(xticks=[], yticks=[], title=TITLE)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1),
        fontsize=5.5,
        ncols=1 + len(names) // 40,
        frameon=False,
        handletextpad=0.3,
    )
    return figure


def _draw_outliers(
    axes: Axes, place: NDArray[np.float64], kinds: dict[str, NDArray[np.bool_]]
) -> None:
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


def _draw_species(
    axes: Axes, place: NDArray[np.float64], species: NDArray[np.int64], names: Sequence[str]
) -> None:
    text: dict[str, Any] = {"fontsize": 5, "ha": "center", "va": "center", "clip_on": True}
    marker: dict[str, Any] = {"linestyle": "", "marker": "s", "markersize": 4}
    for k, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True)):
        for x, y in place[species == k]:
            axes.text(x, y, str(k + 1), color=colour, **text)
        axes.plot([], [], color=colour, label=f"{k + 1} {name}", **marker)


def place_on_a_plane(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two coordinates (N, 2): principal components, then t-SNE.

    t-SNE is left out where there are too few windows for it to mean something.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn's

    reduced = PCA(n_components=min(32, *embedding.shape), random_state=0).fit_transform(embedding)
    if len(reduced) < 50:
        return np.asarray(np.pad(reduced, ((0, 0), (0, 2)))[:, :2], np.float64)
    tsne = TSNE(perplexity=min(30, len(reduced) / 4), init="pca", max_iter=500, random_state=0)
    # Its threads wait for each other: on a machine that also trains, minutes instead of seconds.
    with threadpool_limits(1):
        placed = tsne.fit_transform(reduced)
    return np.asarray(placed, np.float64)


def colours(count: int) -> list[tuple[float, float, float]]:
    """Return distinct colours of similar darkness, neighbours in the list far apart in hue."""
    return [
        colorsys.hls_to_rgb((i * 0.381966) % 1, 0.32 + 0.14 * (i % 3) / 2, 0.75)
        for i in range(count)
    ]
