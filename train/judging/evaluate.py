"""How good a system is, on recordings of people whom it has not heard in training.

Closed set, open set, kind by kind, rule by rule. Windows in which nothing stands out are neither
the species nor an outlier; they are reported apart. Every number comes with a bootstrap interval
over recordings (`train.judging.metrics.Bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle.animal import AnimalRule
from edge.errors import UserError
from train.corpus.corpus import Corpus
from train.judging.animal_curves import measure_outcomes, outcomes_of
from train.judging.background import with_background
from train.judging.calibration import Calibration
from train.judging.judged import Judged, judge_recordings, judge_windows
from train.judging.levels import (
    against_paper,
    by_species,
    counted,
    measure_level,
    measure_rule,
    plain_estimates,
)
from train.judging.metrics import Bootstrap
from train.judging.nocall_f1 import judge_rows
from train.judging.probability_report import draw_reliability
from train.judging.ranking import write_lists
from train.judging.report import render_report, write_report
from train.judging.rules import PAPER
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["evaluate"]

Report = dict[str, Any]
SPLIT = "test"


def evaluate(
    corpus: Corpus,
    outputs: WindowOutputs,
    calibration: Calibration,
    *,
    validation: WindowOutputs | None = None,
    more: Mapping[str, Any] | None = None,
    out_dir: Path | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Report:
    """Judge the windows of the test split among `outputs`, and return the report.

    Plain JSON types; an estimate is {"value", "low", "high"}, null where it is undefined. Rows of
    5 s are judged where outputs of the `validation` split are given, which their thresholds come
    from. `more` goes into the report: what the collection lacks (`train.judging.left_out`), and as
    `probability` how reliable probabilities are (`train.judging.probability_report`). Writes
    report.json, report.md, lists.csv and plots into `out_dir` when one is given. Raises `UserError`
    where there is nothing to judge, or the labels differ.
    """
    outputs = _of_test(corpus, outputs)
    truth = truth_of(corpus, outputs)
    if not truth.known.any():
        raise UserError(f"no known windows of the split '{SPLIT}' in these outputs")
    if not outputs.labels == calibration.labels == (validation or outputs).labels:
        raise UserError("outputs and calibration have different labels; calibrate this run again")
    windows = {
        name: judge_windows(outputs, truth, head) for name, head in calibration.heads.items()
    }
    recordings = judge_recordings(outputs, truth, calibration.head)
    report = _measure(corpus, calibration, windows, recordings, resamples=resamples, seed=seed)
    if validation is not None:
        head = calibration.head
        rows = judge_rows(corpus, validation, outputs, head, resamples=resamples, seed=seed)
        report["rows"] = {**rows, "variants": [plain_estimates(v) for v in rows["variants"]]}
    report |= _animal(calibration.animal, outputs, windows[calibration.chosen])
    report |= more or {}
    if out_dir is not None:
        _write(report, corpus, outputs, windows[calibration.chosen], recordings, Path(out_dir))
    return report


def _animal(rule: AnimalRule | None, outputs: WindowOutputs, judged: Judged) -> Report:
    """Return what windows become; all labels of these outputs are animals'."""
    if rule is None:
        return {}
    animals = np.ones(len(outputs.labels), bool)
    score = rule.score(outputs.embedding, outputs.logits, animals)
    return {"animal": measure_outcomes(outcomes_of(judged, score, rule.threshold))}


def _of_test(corpus: Corpus, outputs: WindowOutputs) -> WindowOutputs:
    mask = [corpus.recordings[i].split == SPLIT for i in outputs.recording]
    return outputs.select(np.array(mask, bool))


def _measure(
    corpus: Corpus,
    calibration: Calibration,
    windows: dict[str, Judged],
    recordings: Judged,
    *,
    resamples: int,
    seed: int,
) -> Report:
    """Return the report of windows under every rule, by its name, and of recordings."""
    chosen = windows[calibration.chosen]
    classes = len(calibration.labels)
    draw, draw_recordings = (
        Bootstrap(recording=j.recording, stratum=j.stratum, resamples=resamples, seed=seed)
        for j in (chosen, recordings)
    )
    of_recordings = measure_level(recordings, draw_recordings, classes)
    of_recordings["closed"] |= with_background(
        corpus, calibration.labels, recordings, draw_recordings
    )
    return {
        "split": SPLIT,
        "species": classes,
        "rule": calibration.chosen,
        "threshold": calibration.head.threshold,
        "acceptance_wanted": calibration.acceptance,
        "resamples": resamples,
        "counted": counted(chosen, recordings),
        "windows": measure_level(chosen, draw, classes),
        "recordings": of_recordings,
        "rules": [measure_rule(name, judged, draw, classes) for name, judged in windows.items()],
        **(
            {"against_paper": against_paper(chosen, windows[PAPER], draw, classes)}
            if PAPER in windows
            else {}
        ),
        "by_species": by_species(corpus, calibration.labels, chosen, recordings),
        "calibration": list(calibration.table),
    }


def _write(
    report: Report,
    corpus: Corpus,
    outputs: WindowOutputs,
    windows: Judged,
    recordings: Judged,
    out_dir: Path,
) -> None:
    from train.judging.plots import draw_plots  # matplotlib is slow to import
    from train.judging.predictions import draw_predictions

    common = {label.label: label.common_name for label in corpus.labels}
    names = [common[label] for label in outputs.labels]
    files = [corpus.recordings[i].path.name for i in outputs.recording]
    draw_plots(outputs, windows, recordings, names=names, out_dir=out_dir)
    if "rows" in report:
        raw = next(v for v in report["rows"]["variants"] if v["post_processing"] == "none")
        draw_predictions(
            outputs, windows, files, names=names, threshold=raw["threshold"], out_dir=out_dir
        )
    if report.get("probability"):
        draw_reliability(report["probability"], out_dir)
    lists = out_dir / "lists.csv"
    write_lists(lists, files, outputs.start_s, outputs.labels, windows.scores)
    write_report(report, render_report(report), out_dir)
