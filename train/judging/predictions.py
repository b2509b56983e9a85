"""What a system says over time beside the truth, as Figure 4 of Shugayev et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.files import replacing
from train.judging.figures import new_figure
from train.judging.judged import Judged
from train.judging.post_processing import places
from train.windows.outputs import WindowOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURE", "draw_predictions", "longest_of_two_species"]

PICTURE = "predictions.png"
SHOWN_S, ROW_S = 120.0, 5.0
MOST = 10  # labels


def draw_predictions(
    outputs: WindowOutputs,
    windows: Judged,
    files: Sequence[str],
    *,
    names: Sequence[str],
    threshold: float,
    out_dir: Path,
) -> None:
    """Draw the ten largest labels in the first two minutes of two recordings, into `out_dir`.

    They are the longest of known species (`longest_of_two_species`); `files` (W,) names the
    recording of each window, `names` (K,) the labels. `threshold` is that of rows of 5 s.
    """
    shown = longest_of_two_species(outputs, windows)
    if not shown:
        return
    figure = new_figure(10, 3.6 * len(shown))
    column = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, recording in zip(column, shown, strict=True):
        inside = (outputs.recording == recording) & (outputs.start_s < SHOWN_S)
        at = np.flatnonzero(inside)[np.argsort(outputs.start_s[inside])]
        _draw_scores(axes, outputs.start_s[at], windows.scores[at], names)
        axes.axhline(threshold, color="black", linestyle="--", linewidth=0.8)
        rows = at[places(outputs)[at] % 2 == 0]  # as `nocall_f1.rows_of` has them
        truth = ["nocall" if k < 0 else names[k] for k in windows.truth.species[rows].tolist()]
        _write_truth(axes, outputs.start_s[rows], truth)
        axes.set_title(f"{files[int(at[0])]} (s)", fontsize="small")
    with replacing(out_dir / PICTURE) as staged:
        figure.savefig(staged, format="png", dpi=130)


def longest_of_two_species(outputs: WindowOutputs, windows: Judged) -> list[int]:
    """Return the recording of known species that ends last, and the longest of another species."""
    known = windows.truth.species >= 0
    last: dict[int, tuple[float, int]] = {}
    for recording, start_s, species in zip(
        outputs.recording[known].tolist(),
        outputs.start_s[known].tolist(),
        windows.truth.species[known].tolist(),
        strict=True,
    ):
        last[species] = max(last.get(species, (-1.0, 0)), (start_s, -recording))
    longest = sorted(last.values(), reverse=True)[:2]
    return [-negative for _, negative in longest]


def _draw_scores(
    axes: Axes, start_s: NDArray[np.float64], scores: NDArray[np.float64], names: Sequence[str]
) -> None:
    largest = np.argsort(-scores.max(axis=0), kind="stable")[:MOST]
    for k in largest:
        axes.plot(start_s + ROW_S / 2, scores[:, k], ".-", linewidth=1, label=names[k])
    axes.set(xlim=(0, start_s[-1] + ROW_S), ylim=(-0.02, 1.02), ylabel="score")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small")


def _write_truth(
    axes: Axes,
    start_s: NDArray[np.float64],
    truth: Sequence[str],
) -> None:
    """Write below the picture what the rows of 5 s are that begin at `start_s`; seconds above."""
    axes.set_xticks(start_s + ROW_S / 2, truth, rotation=60, ha="right", fontsize="x-small")
    axes.set_xticks(start_s, minor=True)
    axes.grid(axis="x", which="minor", alpha=0.3)
    axes.set_xlabel(f"truth of each row of {ROW_S:.0f} s", fontsize="small")
    axes.secondary_xaxis("top").tick_params(labelsize="x-small")
