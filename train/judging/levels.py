"""The parts of an evaluation report: windows or recordings under one rule, as plain JSON types.

An estimate is {"value", "low", "high"}, rounded, null where it is undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.corpus.corpus import Corpus
from train.judging.contrasts import NOISES, contrasts
from train.judging.judged import Judged
from train.judging.metrics import Bootstrap, Estimate, OpenSet, class_scores, macro_f1, share
from train.judging.ranking import TOP, class_wise_map, sample_wise_map

__all__ = [
    "against_paper",
    "by_species",
    "counted",
    "measure_level",
    "measure_rule",
    "plain_estimates",
]

Report = dict[str, Any]
Floats = NDArray[np.float64]


def measure_level(judged: Judged, draw: Bootstrap, classes: int) -> Report:
    """Return everything about windows, or about recordings, under one rule."""
    truth = judged.truth
    right = judged.closed == truth.species
    known_only = np.where(truth.known, judged.closed, -1)

    def known_f1(weights: Floats) -> Floats:
        return macro_f1(truth.species, known_only, weights * truth.known, classes=classes)

    return {
        "closed": {
            "macro_f1": _plain(draw.estimate(known_f1)),
            "top1": _plain(draw.estimate(lambda w: share(right, w, among=truth.known))),
            **_average_precision(judged, draw),
        },
        "open": _open_sets(judged, draw),
        "macro_f1_with_rejection": _f1_with_rejection(judged, draw, classes),
        "accepted": _accepted(judged, draw),
    }


def measure_rule(name: str, judged: Judged, draw: Bootstrap, classes: int) -> Report:
    """Return the row of a rule, in which the kinds of noise are together."""
    accepted = {
        kind: accepted
        for kind, accepted in _accepted(judged, draw).items()
        if not kind.startswith("noise: ")
    }
    return {
        "rule": name,
        "open": _open_sets(judged, draw),
        "macro_f1_with_rejection": _f1_with_rejection(judged, draw, classes),
        "accepted": accepted,
    }


def against_paper(chosen: Judged, paper: Judged, draw: Bootstrap, classes: int) -> Report:
    """Return the chosen rule minus the paper's, on the same windows and the same resamples."""
    correct = chosen.closed == chosen.truth.species
    ours, theirs = (
        OpenSet(judged.novelty, judged.truth.known, correct) for judged in (chosen, paper)
    )

    def gain(weight: Floats) -> Estimate:
        return draw.estimate(lambda w: ours.auroc(w * weight) - theirs.auroc(w * weight))

    def f1_gain(weights: Floats) -> Floats:
        return _f1_under(chosen, weights, classes) - _f1_under(paper, weights, classes)

    differences = {
        f"auroc, {name}": gain(weight) for name, weight in contrasts(chosen.truth).items()
    }
    differences["macro_f1_with_rejection"] = draw.estimate(f1_gain)
    return plain_estimates(differences)


def by_species(
    corpus: Corpus, labels: tuple[str, ...], windows: Judged, recordings: Judged
) -> list[Report]:
    """Return a row per species.

    A row has the numbers of its recordings without rejection, and its F1 with rejection among
    everything.
    """
    classes, truth = len(labels), recordings.truth
    once = np.ones((1, len(recordings.recording)))
    known_only = np.where(truth.known, recordings.closed, -1)
    precision, recall, f1 = class_scores(truth.species, known_only, once, classes=classes)
    opened = class_scores(truth.species, recordings.opened, once, classes=classes)[2]
    names = {label.label: label.common_name for label in corpus.labels}
    return [
        {
            "label": label,
            "common_name": names[label],
            "recordings": int((truth.species == k).sum()),
            "windows": int((windows.truth.species == k).sum()),
            "precision": _number(precision[0, k]),
            "recall": _number(recall[0, k]),
            "f1": _number(f1[0, k]),
            "f1_with_rejection": _number(opened[0, k]),
        }
        for k, label in enumerate(labels)
    ]


def counted(windows: Judged, recordings: Judged) -> dict[str, dict[str, int]]:
    """Return how many windows and recordings there are of each kind."""
    return {
        kind: {
            "windows": int((windows.truth.kind == kind).sum()),
            "recordings": int((recordings.truth.kind == kind).sum()),
        }
        for kind in windows.truth.kinds
    }


def plain_estimates(numbers: Mapping[str, Any]) -> Report:
    """Return `numbers` with its estimates as plain types."""
    return {
        name: _plain(value) if isinstance(value, Estimate) else value
        for name, value in numbers.items()
    }


def _average_precision(judged: Judged, draw: Bootstrap) -> Report:
    """Return the mean average precisions over knowns.

    They are class-wise and sample-wise on lists of `TOP`, as BirdCLEF 2020 has it, and sample-wise
    on whole lists (2017).
    """
    known = judged.truth.known
    species, scores = judged.truth.species[known], judged.scores[known]

    def numbers(weights: Floats) -> dict[str, Floats]:
        w = weights[:, known]
        return {
            "c_map": class_wise_map(species, scores, w, top=TOP),
            "r_map": sample_wise_map(species, scores, w, top=TOP),
            "map": sample_wise_map(species, scores, w),
        }

    return plain_estimates(draw.estimates(numbers))


def _open_sets(judged: Judged, draw: Bootstrap) -> Report:
    """Return AUROC, FPR95 and OSCR of each comparison."""
    curves = OpenSet(judged.novelty, judged.truth.known, judged.closed == judged.truth.species)

    def measure(weight: Floats) -> Report:
        return plain_estimates(draw.estimates(lambda w: curves.numbers(w * weight)))

    return {name: measure(weight) for name, weight in contrasts(judged.truth).items()}


def _f1_with_rejection(judged: Judged, draw: Bootstrap, classes: int) -> dict[str, float | None]:
    return _plain(draw.estimate(lambda w: _f1_under(judged, w, classes)))


def _f1_under(judged: Judged, weights: Floats, classes: int) -> Floats:
    """Return macro F1 (B,) over knowns, unknown species and noise together.

    An accepted outlier costs precision, a rejected known costs recall.
    """
    counted = judged.truth.known | judged.truth.unknown | judged.truth.noise
    return macro_f1(judged.truth.species, judged.opened, weights * counted, classes=classes)


def _accepted(judged: Judged, draw: Bootstrap) -> Report:
    """Return the share accepted as some species, by kind, and of noise and background together."""
    truth = judged.truth
    masks = {kind: truth.kind == kind for kind in truth.kinds}
    if truth.noise.any():
        masks[NOISES] = truth.noise

    def shares(weights: Floats) -> dict[str, Floats]:
        return {kind: share(judged.accepted, weights, among=mask) for kind, mask in masks.items()}

    return plain_estimates(draw.estimates(shares))


def _plain(estimate: Estimate) -> dict[str, float | None]:
    return {name: _number(getattr(estimate, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
