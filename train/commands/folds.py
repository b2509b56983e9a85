"""A system with each fold validating in turn, and the average of them all.

out/fold-0/run, out/fold-0/bundle    what `edge-train fit` and `export` leave; likewise each fold
out/average.json                     what each says of the test, and what they say together
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.errors import UserError
from edge.files import write_whole
from train.commands.build import calibrate_run, evaluate_run, export_run
from train.commands.opened import calibration_of
from train.corpus.corpus import Corpus
from train.corpus.summary import markdown_table
from train.judging.averaged import MEASURES, averaged, measure_recordings
from train.judging.judged import judge_windows
from train.judging.truth import truth_of
from train.learning.fit import fit
from train.learning.members import Report
from train.learning.run import TrainedRun
from train.learning.segment import segment
from train.recipe.recipe import Recipe

__all__ = ["average_runs", "train_folds"]

Say = Callable[[str], None]


def train_folds(
    recipe: Recipe,
    corpus: Corpus,
    *,
    out: Path,
    earlier: Path | None,
    report: Report,
    say: Say,
    **places: Any,
) -> str:
    """Train, calibrate, evaluate and export with each fold validating; returns the table.

    `earlier` is the `out` of the stage before, for a recipe with pseudo labels. An interrupted call
    is resumed. Raises `UserError` where the folds cannot judge together.
    """
    runs = []
    for fold in range(corpus.folds):
        folder = out / f"fold-{fold}"
        say(f"training in {folder}")
        options: dict[str, Any] = {"folder": folder / "run", "report": report, **places}
        if earlier is None:
            run = fit(recipe, corpus, fold=fold, **options)
        else:
            run = segment(recipe, corpus, earlier=earlier / f"fold-{fold}" / "run", **options)
        calibrate_run(run, corpus, acceptance=recipe.acceptance)
        evaluate_run(run, corpus)
        export_run(run, corpus, path=folder / "bundle", name=f"{recipe.name}-{fold}")
        runs.append(run)
    return average_runs(runs, corpus, out=out)


def average_runs(runs: Sequence[TrainedRun], corpus: Corpus, *, out: Path) -> str:
    """Judge the test with each of several calibrated runs, and with their power average.

    Each counts by its recipe's `weight`. Writes average.json, and returns the table.
    """
    _check_labels(runs)
    each = [_judged(run, corpus) for run in runs]
    weights = [run.recipe.weight for run in runs]
    classes = len(runs[0].labels)
    rows = [
        {"run": str(run.folder), "weight": weight, **measure_recordings(own, classes=classes)}
        for run, weight, own in zip(runs, weights, each, strict=True)
    ]
    together = measure_recordings(averaged(each, weights), classes=classes)
    rows.append({"run": "average", "weight": sum(weights), **together})
    write_whole(out / "average.json", json.dumps(rows, indent=1) + "\n")
    table = [
        (row["run"], f"{row['weight']:g}", *(f"{row[name]:.3f}" for name in MEASURES))
        for row in rows
    ]
    return markdown_table(("run", "weight", *MEASURES), table)


def _judged(run: TrainedRun, corpus: Corpus) -> Any:
    outputs = run.outputs("test")
    head = calibration_of(run).head
    return judge_windows(outputs, truth_of(corpus, outputs), head)


def _check_labels(runs: Sequence[TrainedRun]) -> None:
    """Raise `UserError` where two runs learnt other species, or from another corpus."""
    for run in runs[1:]:
        other = sorted(set(run.labels) ^ set(runs[0].labels))
        if other:
            raise UserError(
                f"{run.folder}: '{other[0]}' is learnt in it or in {runs[0].folder}, not in both: "
                "they cannot be averaged; name the species of the recipe, or use fewer folds"
            )
        if run.corpus != runs[0].corpus:
            raise UserError(f"{run.folder}: was trained on another corpus than {runs[0].folder}")
