"""What windows become, by what they are: a label, an unknown animal, another sound, or nothing.

Both curves over the threshold of the score that an animal stands out: which share of the windows
without an animal become unknown events, and which of those of unknown species are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.corpus.summary import markdown_table
from train.judging.animal import is_animal_noise, is_no_animal, share_of_kinds
from train.judging.judged import Judged
from train.judging.truth import BACKGROUND, UNKNOWN

__all__ = ["Outcomes", "measure_outcomes", "outcomes_of", "outcomes_section"]

Mask = NDArray[np.bool_]
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """W windows of a `kind` (W,) as a bundle judges them.

    `named` (W,) have a label, `right` (W,) the label of what they are, and `other` (W,) only such
    as are no animal's. `animal` (W,) is how surely an animal stands out; from `threshold` on one
    without a label is unknown.
    """

    kind: NDArray[np.str_]
    named: Mask
    right: Mask
    other: Mask
    animal: NDArray[np.float64]
    threshold: float

    def unknown(self, threshold: float) -> Mask:
        """Return which windows (W,) would be unknown with this threshold."""
        unknown: Mask = ~self.named & (self.animal >= threshold)
        return unknown

    def reported(self, threshold: float) -> Mask:
        """Return which windows (W,) would be unknown, or called what they are."""
        reported: Mask = self.unknown(threshold) | self.right
        return reported


def outcomes_of(judged: Judged, animal: NDArray[Any], threshold: float) -> Outcomes:
    """Return the windows of a network that knows animals only, with the score `animal` (W,)."""
    return Outcomes(
        kind=judged.truth.kind,
        named=judged.accepted,
        right=judged.accepted & (judged.opened == judged.truth.species),
        other=np.zeros(len(animal), bool),
        animal=animal.astype(np.float64),
        threshold=threshold,
    )


def measure_outcomes(outcomes: Outcomes) -> dict[str, Any]:
    """Return the curves and what each kind becomes, as plain JSON types."""
    return {
        "threshold": outcomes.threshold,
        "curves": [
            _point(outcomes, threshold)
            for threshold in sorted({*THRESHOLDS, round(outcomes.threshold, 4)})
        ],
        "kinds": {
            str(kind): _shares(outcomes, outcomes.kind == kind) for kind in np.unique(outcomes.kind)
        },
    }


def _point(outcomes: Outcomes, threshold: float) -> dict[str, float | None]:
    unknown = outcomes.unknown(threshold)
    no_animal = is_no_animal(outcomes.kind)
    background = outcomes.kind == BACKGROUND
    noise = no_animal & ~background
    species = outcomes.kind == UNKNOWN
    return {
        "threshold": threshold,
        "noise": _mean_of_kinds(unknown, outcomes.kind, noise),
        "worst_noise": _worst(unknown, outcomes.kind, noise),
        "background": _share(unknown, background),
        "unknown_species": _share(outcomes.reported(threshold), species),
    }


def _shares(outcomes: Outcomes, mask: Mask) -> dict[str, float | int | None]:
    unknown = outcomes.unknown(outcomes.threshold)
    return {
        "windows": int(mask.sum()),
        "right": _share(outcomes.right, mask),
        "wrong": _share(outcomes.named & ~outcomes.right & ~outcomes.other, mask),
        "other": _share(outcomes.other & ~outcomes.right, mask),
        "unknown": _share(unknown, mask),
        "nothing": _share(~outcomes.named & ~unknown, mask),
    }


def _share(mask: Mask, among: Mask) -> float | None:
    return round(float(mask[among].mean()), 4) if among.any() else None


def _mean_of_kinds(mask: Mask, kind: NDArray[np.str_], among: Mask) -> float | None:
    return round(share_of_kinds(mask, kind, among), 4) if among.any() else None


def _worst(mask: Mask, kind: NDArray[np.str_], among: Mask) -> float | None:
    shares = [float(mask[among & (kind == name)].mean()) for name in np.unique(kind[among])]
    return round(max(shares), 4) if shares else None


def outcomes_section(report: Mapping[str, Any]) -> list[str]:
    """Return the section of a report in Markdown; nothing where the bundle cannot tell."""
    measured = report.get("animal")
    if measured is None:
        return []
    return [
        "## An unknown is an animal",
        f"A window without a label is unknown where an animal stands out in it, from a score of "
        f"{measured['threshold']:g} on; else there is nothing. Shares of windows, quiet ones of an "
        "animal's recording apart. There may be animals in background.",
        _curves(measured["curves"], measured["threshold"]),
        "At that threshold, by kind:",
        _kinds(measured["kinds"]),
    ]


def _curves(points: Sequence[Mapping[str, float | None]], threshold: float) -> str:
    columns = {
        "threshold": "threshold",
        "noise": "noise that becomes unknown, mean of kinds",
        "worst_noise": "worst kind",
        "background": "background that becomes unknown",
        "unknown_species": "unknown species reported as unknown or as what they are",
    }
    rows = []
    for point in points:
        shipped = point["threshold"] == round(threshold, 4)
        cells = [_cell(point[key]) for key in columns]
        rows.append([f"**{cell}**" for cell in cells] if shipped else cells)
    return markdown_table(list(columns.values()), rows)


def _kinds(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    columns = {
        "windows": "windows",
        "right": "called what it is",
        "wrong": "another label",
        "other": "another sound",
        "unknown": "unknown",
        "nothing": "nothing",
    }
    rows = [
        [
            f"{name} (an animal)" if is_animal_noise(name) else name,
            *(_cell(shares[key]) for key in columns),
        ]
        for name, shares in kinds.items()
    ]
    return markdown_table(["kind", *columns.values()], rows)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")
