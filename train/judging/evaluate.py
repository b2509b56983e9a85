"""How good a system is, on recordings of people it has never heard: closed set, open set, kind by
kind, rule by rule.

Windows in which nothing stands out are neither the species nor an outlier; they are reported apart.
Every number comes with a bootstrap interval over recordings (`train.judging.metrics.Bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from train.corpus.corpus import Corpus
from train.judging.calibrate import Calibration
from train.judging.judged import Judged, judge_recordings, judge_windows
from train.judging.metrics import Bootstrap, Estimate, OpenSet, class_scores, macro_f1, share
from train.judging.nocall_f1 import judge_rows
from train.judging.ranking import TOP, class_wise_map, sample_wise_map, write_lists
from train.judging.report import write_report
from train.judging.rules import PAPER
from train.judging.truth import Truth, judge_truth
from train.windows.outputs import WindowOutputs

__all__ = ["compare", "evaluate"]

Report = dict[str, Any]
Floats = NDArray[np.float64]

# What knowns are told from: the outliers, and how they are weighed (None: window by window).
UNKNOWNS, NOISES, ALL = "unknown species", "noise and background", "all, unknown species half"


def evaluate(
    corpus: Corpus,
    outputs: WindowOutputs,
    calibration: Calibration,
    *,
    validation: WindowOutputs | None = None,
    split: str = "test",
    out_dir: Path | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Report:
    """Judge `outputs` of a split; writes report.json, report.md, lists.csv and plots into `out_dir`
    when one is given.

    Plain JSON types; an estimate is {"value", "low", "high"}, null where it is undefined. Rows are
    judged where outputs of the `validation` split are given, which their thresholds come from.
    """
    outputs = outputs.select(
        np.array([corpus.recordings[i].split == split for i in outputs.recording], bool)
    )
    truth = judge_truth(corpus, outputs)
    if not truth.known.any():
        raise UserError(f"no known windows of the split '{split}' in these outputs")
    if not outputs.labels == calibration.labels == (validation or outputs).labels:
        raise UserError("outputs and calibration have different labels; calibrate this run again")
    windows = {
        name: judge_windows(outputs, truth, head) for name, head in calibration.heads.items()
    }
    chosen, recordings = (
        windows[calibration.chosen],
        judge_recordings(outputs, truth, calibration.head),
    )
    draw = _bootstraps(chosen, recordings, resamples, seed)
    report: Report = {
        "split": split,
        "species": len(outputs.labels),
        "rule": calibration.chosen,
        "threshold": calibration.head.threshold,
        "acceptance_wanted": calibration.acceptance,
        "resamples": resamples,
        "counted": _counted(chosen, recordings),
        "windows": _level(chosen, draw[0], len(outputs.labels)),
        "recordings": _level(recordings, draw[1], len(outputs.labels)),
        "rules": [
            _rule(name, judged, draw[0], len(outputs.labels)) for name, judged in windows.items()
        ],
        "against_paper": _against_paper(chosen, windows[PAPER], draw[0], len(outputs.labels)),
        "by_species": _by_species(corpus, outputs, chosen, recordings),
        "calibration": list(calibration.table),
    }
    if validation is not None:
        rows = judge_rows(
            corpus, validation, outputs, calibration.head.scores, resamples=resamples, seed=seed
        )
        report["rows"] = {**rows, "variants": [_rounded(variant) for variant in rows["variants"]]}
    if out_dir is not None:
        _write(
            report, corpus, outputs, {"windows": chosen, "recordings": recordings}, Path(out_dir)
        )
    return report


def compare(
    reports: Mapping[str, Sequence[Report]], metrics: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Rows for a table of claims: per system its runs' mean and standard deviation of some numbers.

    `metrics` maps a column to the path of an estimate in the report, e.g. {"AUROC": ("windows",
    "open", "unknown species", "auroc")}. The deviation of a single run is null.
    """
    rows = []
    for system, runs in reports.items():
        row: dict[str, Any] = {"system": system, "runs": len(runs)}
        for column, path in metrics.items():
            values = [value for run in runs if (value := _follow(run, path)) is not None]
            row[column] = round(float(np.mean(values)), 4) if values else None
            row[f"{column} sd"] = (
                round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
            )
        rows.append(row)
    return rows


def _follow(report: Report, path: Sequence[str]) -> float | None:
    node: Any = report
    for key in path:
        node = node.get(key)  # a report of an earlier version lacks some
        if node is None:
            return None
    value = node["value"] if isinstance(node, Mapping) else node
    return None if value is None else float(value)


def _bootstraps(
    windows: Judged, recordings: Judged, resamples: int, seed: int
) -> tuple[Bootstrap, Bootstrap]:
    first, second = (
        Bootstrap(recording=j.recording, stratum=j.stratum, resamples=resamples, seed=seed)
        for j in (windows, recordings)
    )
    return first, second


def _counted(windows: Judged, recordings: Judged) -> dict[str, dict[str, int]]:
    return {
        kind: {
            "windows": int((windows.truth.kind == kind).sum()),
            "recordings": int((recordings.truth.kind == kind).sum()),
        }
        for kind in windows.truth.kinds
    }


def _level(judged: Judged, draw: Bootstrap, classes: int) -> Report:
    """Everything about windows, or about recordings, under one rule."""
    truth = judged.truth
    right = judged.closed == truth.species
    known_only = np.where(truth.known, judged.closed, -1)
    return {
        "closed": {
            "macro_f1": _plain(
                draw.estimate(
                    lambda w: macro_f1(truth.species, known_only, w * truth.known, classes=classes)
                )
            ),
            "top1": _plain(draw.estimate(lambda w: share(right, w, among=truth.known))),
            **_average_precision(judged, draw),
        },
        "open": {
            name: _open_set(judged, draw, weight) for name, weight in _contrasts(truth).items()
        },
        "macro_f1_with_rejection": _plain(
            draw.estimate(lambda w: _macro_f1_with_rejection(judged, w, classes))
        ),
        "accepted": _accepted(judged, draw),
    }


def _average_precision(judged: Judged, draw: Bootstrap) -> Report:
    """Over knowns: class-wise and sample-wise on lists of `TOP`, as BirdCLEF 2020 has it, and
    sample-wise on whole lists (2017).
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

    return {name: _plain(estimate) for name, estimate in draw.estimates(numbers).items()}


def _contrasts(truth: Truth) -> dict[str, Floats]:
    """Weights (N,) of knowns and outliers for each comparison that the data allow."""
    known, unknown, noise = (
        mask.astype(np.float64) for mask in (truth.known, truth.unknown, truth.noise)
    )
    contrasts = {}
    if unknown.any():
        contrasts[UNKNOWNS] = known + unknown
    if noise.any():
        contrasts[NOISES] = known + noise
    if unknown.any() and noise.any():
        kinds = np.unique(truth.kind[truth.noise])
        evenly = sum(
            (truth.kind == kind) / ((truth.kind == kind).sum() * len(kinds)) for kind in kinds
        )
        contrasts[ALL] = known + len(known) * (unknown / unknown.sum() + evenly)
    return contrasts


def _open_set(judged: Judged, draw: Bootstrap, weight: Floats) -> Report:
    curves = OpenSet(judged.novelty, judged.truth.known, judged.closed == judged.truth.species)
    return {
        name: _plain(estimate)
        for name, estimate in draw.estimates(lambda w: curves.numbers(w * weight)).items()
    }


def _macro_f1_with_rejection(judged: Judged, weights: Floats, classes: int) -> Floats:
    """Over knowns, unknown species and noise together: an accepted outlier costs precision, a
    rejected known costs recall.
    """
    counted = judged.truth.known | judged.truth.unknown | judged.truth.noise
    return macro_f1(judged.truth.species, judged.opened, weights * counted, classes=classes)


def _accepted(judged: Judged, draw: Bootstrap) -> dict[str, Any]:
    """Share accepted as some species, kind by kind, and of all noise and background together."""
    truth = judged.truth
    masks = {kind: truth.kind == kind for kind in truth.kinds}
    if truth.noise.any():
        masks[NOISES] = truth.noise

    def shares(weights: Floats) -> dict[str, Floats]:
        return {kind: share(judged.accepted, weights, among=mask) for kind, mask in masks.items()}

    return {kind: _plain(estimate) for kind, estimate in draw.estimates(shares).items()}


def _rule(name: str, judged: Judged, draw: Bootstrap, classes: int) -> Report:
    accepted = {
        kind: share
        for kind, share in _accepted(judged, draw).items()
        if not kind.startswith("noise: ")
    }
    return {
        "rule": name,
        "open": {
            contrast: _open_set(judged, draw, weight)
            for contrast, weight in _contrasts(judged.truth).items()
        },
        "macro_f1_with_rejection": _plain(
            draw.estimate(lambda w: _macro_f1_with_rejection(judged, w, classes))
        ),
        "accepted": accepted,
    }


def _against_paper(chosen: Judged, paper: Judged, draw: Bootstrap, classes: int) -> Report:
    """Chosen rule minus the paper's, on the same windows and the same resamples."""

    def minus(one: OpenSet, other: OpenSet, weight: Floats) -> Estimate:
        return draw.estimate(lambda w: one.auroc(w * weight) - other.auroc(w * weight))

    correct = chosen.closed == chosen.truth.species
    ours, theirs = (
        OpenSet(judged.novelty, judged.truth.known, correct) for judged in (chosen, paper)
    )
    differences = {
        f"auroc, {name}": minus(ours, theirs, weight)
        for name, weight in _contrasts(chosen.truth).items()
    }
    differences["macro_f1_with_rejection"] = draw.estimate(
        lambda w: (
            _macro_f1_with_rejection(chosen, w, classes)
            - _macro_f1_with_rejection(paper, w, classes)
        )
    )
    return {name: _plain(difference) for name, difference in differences.items()}


def _by_species(
    corpus: Corpus, outputs: WindowOutputs, windows: Judged, recordings: Judged
) -> list[dict[str, Any]]:
    """A row per species: its recordings without rejection, and its F1 with rejection among
    everything.
    """
    classes, truth = len(outputs.labels), recordings.truth
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
        for k, label in enumerate(outputs.labels)
    ]


def _rounded(numbers: Mapping[str, Any]) -> Report:
    """A row of a table, with its estimates as plain types."""
    return {
        name: _plain(value) if isinstance(value, Estimate) else value
        for name, value in numbers.items()
    }


def _plain(estimate: Estimate) -> dict[str, float | None]:
    return {name: _number(getattr(estimate, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _write(
    report: Report,
    corpus: Corpus,
    outputs: WindowOutputs,
    judged: Mapping[str, Judged],
    out_dir: Path,
) -> None:
    from train.judging.plots import draw_plots  # matplotlib is slow to import

    names = {label.label: label.common_name for label in corpus.labels}
    draw_plots(
        outputs,
        judged["windows"],
        judged["recordings"],
        names=[names[label] for label in outputs.labels],
        out_dir=out_dir,
    )
    files = [corpus.recordings[i].path.name for i in outputs.recording]
    write_lists(
        out_dir / "lists.csv", files, outputs.start_s, outputs.labels, judged["windows"].scores
    )
    write_report(report, out_dir)
