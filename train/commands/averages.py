"""What several systems of a plan say together, measured as a system of its own is.

No bundle holds an average: a recorder averages bundles itself (`--bundle A --bundle B`). So there
is no rejection in it, and rows of 5 s have the thresholds of the validation split alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.commands.opened import calibration_of
from train.commands.plan import Average, Plan
from train.commands.systems import SystemResult, run_folder
from train.corpus.corpus import Corpus, read_corpus
from train.judging.averaged import averaged, common_windows
from train.judging.judged import Judged, by_recording, judge_windows
from train.judging.levels import measure_level, plain_estimates
from train.judging.metrics import Bootstrap
from train.judging.nocall_f1 import judge_scores
from train.judging.truth import truth_of
from train.learning.run import TrainedRun, load_run
from train.windows.outputs import WindowOutputs

__all__ = ["average_reports"]

RESAMPLES = 100  # the table has no intervals
Report = dict[str, Any]


def average_reports(plan: Plan, results: Sequence[SystemResult], out: Path) -> dict[str, list[Any]]:
    """Return the reports of each of the plan's averages by its name: of each seed that all have."""
    if not plan.averages:
        return {}
    corpus = read_corpus(out / "corpus")
    reports = {}
    for average in plan.averages:
        runs = [
            [load_run(run_folder(out, recipe, seed) / "run") for recipe in average.of]
            for seed in _seeds(average, results)
        ]
        reports[average.name] = [_report(corpus, members) for members in runs]
    return {name: made for name, made in reports.items() if made}


def _seeds(average: Average, results: Sequence[SystemResult]) -> list[int]:
    """Return the seeds with which every system of the average is finished."""
    each = [{r.seed for r in results if r.recipe == recipe} for recipe in average.of]
    return sorted(set.intersection(*each))


def _report(corpus: Corpus, runs: Sequence[TrainedRun]) -> Report:
    """Return what `train.judging.evaluate` has of a system, as far as an average has it."""
    (learnt, validation), (judged, test) = (
        _together(corpus, runs, split) for split in ("validation", "test")
    )
    rows = judge_scores(
        corpus,
        (validation, learnt.scores),
        (test, judged.scores),
        resamples=RESAMPLES,
        seed=0,
    )
    classes = len(runs[0].labels)
    return {
        "windows": _level(judged, classes),
        "recordings": _level(by_recording(judged), classes),
        "rows": {**rows, "variants": [plain_estimates(v) for v in rows["variants"]]},
    }


def _together(
    corpus: Corpus, runs: Sequence[TrainedRun], split: str
) -> tuple[Judged, WindowOutputs]:
    """Return what runs say together of a split, and the windows of the first that all have."""
    outputs = [run.outputs(split) for run in runs]
    each = [_judged(corpus, run, one) for run, one in zip(runs, outputs, strict=True)]
    together = averaged(each, [run.recipe.weight for run in runs])
    return together, outputs[0].select(common_windows(each)[0])


def _judged(corpus: Corpus, run: TrainedRun, outputs: WindowOutputs) -> Judged:
    """Judge windows; novelty is in 0..1, as a recorder averages it, since rules may differ."""
    head = calibration_of(run).head
    novelty = head(outputs.embedding, outputs.logits).novelty.astype(float)
    return dataclasses.replace(
        judge_windows(outputs, truth_of(corpus, outputs), head), novelty=novelty
    )


def _level(judged: Judged, classes: int) -> Report:
    draw = Bootstrap(
        recording=judged.recording, stratum=judged.stratum, resamples=RESAMPLES, seed=0
    )
    return measure_level(judged, draw, classes)
