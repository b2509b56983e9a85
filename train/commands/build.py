"""What comes after training, as functions of a run folder; and `build`, which is all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.bundle import Bundle
from edge.bundle.overwriting import check_place
from edge.bundle.strictjson import read_json
from edge.errors import UserError
from train.commands.opened import CALIBRATION, calibration_of
from train.commands.prepared import check_judgeable, prepared_corpus
from train.commands.run_scores import calibrate_scores, measure_scores, scores_in
from train.corpus.corpus import Corpus
from train.corpus.summary import markdown_table
from train.export.card import render_card
from train.export.export import export_bundle
from train.judging.calibrate import animal_rule, calibrate, calibrate_turn
from train.judging.calibration import Calibration
from train.judging.compare import compare
from train.judging.evaluate import evaluate
from train.judging.headline import headline
from train.judging.left_out import Turn, measure_turns, stand_ins
from train.judging.select import SpeciesScore, score_species
from train.judging.song_types import judge_song_types
from train.learning.fit import fit
from train.learning.leaving_out import finished_turns, fit_left_out
from train.learning.members import Report
from train.learning.run import TrainedRun, load_run
from train.learning.splits import fold_splits
from train.recipe.recipe import Recipe
from train.windows.outputs import WindowOutputs

__all__ = [
    "build_bundle",
    "calibrate_run",
    "choose_species",
    "compare_runs",
    "evaluate_run",
    "export_run",
]

# Columns of the table that compares runs: where each is in a report.
CLAIMS: dict[str, tuple[str, ...]] = {
    "macro F1 / recording": ("recordings", "closed", "macro_f1"),
    "top-1 / recording": ("recordings", "closed", "top1"),
    "MAP / recording": ("recordings", "closed", "map"),
    "macro F1 / window": ("windows", "closed", "macro_f1"),
    "AUROC unknown species": ("windows", "open", "unknown species", "auroc"),
    "AUROC noise and background": ("windows", "open", "noise and background", "auroc"),
}


def calibrate_run(
    run: TrainedRun, corpus: Corpus, *, acceptance: float = 0.95, rule: str | None = None
) -> Calibration:
    """Calibrate on the run's validation fold; the result is kept in the run folder.

    With `rule` the rejection rule of that name is taken, else the best on validation.
    """
    activation = run.recipe.activation
    training, validation = run.outputs("train"), run.outputs("validation")
    turns = [calibrate_turn(turn, activation, acceptance) for turn in _turns(run, corpus)]

    def calibrated(outputs: WindowOutputs) -> Calibration:
        return calibrate(
            corpus,
            training,
            outputs,
            activation=activation,
            acceptance=acceptance,
            rule=rule,
            turns=turns,
        )

    calibration = replace(calibrated(validation), animal=animal_rule(corpus, validation))
    calibration.save(run.folder / CALIBRATION)
    calibrate_scores(run, corpus, calibrated)
    return calibration


def evaluate_run(run: TrainedRun, corpus: Corpus, *, resamples: int = 500) -> dict[str, Any]:
    """Judge the run on the test split; the report is kept in the run folder."""
    calibration = calibration_of(run)
    outputs, validation = run.outputs("test"), run.outputs("validation")
    turns = _turns(run, corpus)
    return evaluate(
        corpus,
        outputs,
        calibration,
        validation=validation,
        more={
            "calibrated": calibration.digest,
            "probability": measure_scores(run, corpus, calibration),
            "stand_ins": stand_ins(corpus, turns),
            "left_out": _measured(turns, calibration),
            **judge_song_types(corpus, run.outputs("train"), outputs, run.folder / "report"),
        },
        out_dir=run.folder / "report",
        resamples=resamples,
    )


def _turns(run: TrainedRun, corpus: Corpus) -> list[Turn]:
    """Return the trainings beside a run that never heard some of its species."""
    found = [
        Turn(
            left_out=turn.labels,
            steps=turn.run.recipe.steps,
            corpus=turn.corpus,
            train=turn.run.outputs("train"),
            validation=turn.run.outputs("validation"),
            test=turn.run.outputs("test"),
        )
        for turn in finished_turns(run, corpus)
    ]
    return [turn for turn in found if turn.tells]


def _measured(turns: Sequence[Turn], calibration: Calibration) -> list[dict[str, Any]]:
    activation, acceptance = calibration.activation, calibration.acceptance
    own = [calibrate_turn(turn, activation, acceptance) for turn in turns]
    return measure_turns(turns, own, calibration.chosen)


def export_run(run: TrainedRun, corpus: Corpus, *, path: Path, name: str) -> Bundle:
    """Write the bundle; its card holds the report that `evaluate_run` wrote.

    Raises `UserError` without that report, and for one of another calibration.
    """
    report = run.folder / "report"
    if not (report / "report.json").exists():
        raise UserError(f"{report / 'report.json'}: is missing; run 'edge-train evaluate' first")
    calibration = calibration_of(run)
    text = (report / "report.md").read_text(encoding="utf-8")
    numbers = read_json(report / "report.json")
    if numbers.get("calibrated", calibration.digest) != calibration.digest:
        raise UserError(
            f"{report / 'report.json'}: is of another calibration than {CALIBRATION}; run "
            "'edge-train evaluate' again"
        )
    splits = fold_splits(corpus, fold=run.fold)
    card = render_card(run, corpus, splits, name=name, report=text, notes=run.recipe.notes)
    return export_bundle(
        run,
        calibration,
        corpus,
        path=path,
        name=name,
        card=card,
        metrics=headline(numbers),
        scores=scores_in(run),
    )


def compare_runs(folders: Sequence[Path]) -> str:
    """Return a Markdown table of evaluated runs: a row per recipe name.

    It shows means and, from two runs on, standard deviations on the test split.
    """
    reports: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        file = folder / "report" / "report.json"
        if not file.exists():
            raise UserError(f"{file}: is missing; run 'edge-train evaluate --run {folder}' first")
        reports.setdefault(load_run(folder).recipe.name, []).append(read_json(file))
    rows = []
    for row in compare(reports, CLAIMS):
        cells = [_cell(row[c], row[c + " sd"]) for c in CLAIMS]
        rows.append([row["system"], row["runs"], *cells])
    return markdown_table(("recipe", "runs", *CLAIMS), rows)


def _cell(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.3f}" + (f" ± {deviation:.3f}" if deviation is not None else "")


def build_bundle(
    recipe: Recipe,
    data: Sequence[Path],
    *,
    out: Path,
    work: Path,
    device: str,
    workers: int,
    report: Report,
    say: Callable[[str], None],
) -> Bundle:
    """Prepare (unless done), fit (resuming), calibrate, evaluate and export."""
    check_place(out)
    folder = work / "run"
    corpus = prepared_corpus(recipe, data, work=work, workers=workers, say=say)
    check_judgeable(corpus, fold=0)
    say(f"training in {folder}")
    machine: dict[str, Any] = {"cache": work / "features", "device": device, "workers": workers}
    run = fit(recipe, corpus, folder=folder, fold=0, report=report, **machine)
    fit_left_out(run, corpus, report=report, say=say, **machine)
    say("calibrating and evaluating")
    calibrate_run(run, corpus, acceptance=recipe.acceptance)
    evaluate_run(run, corpus)
    return export_run(run, corpus, path=out, name=recipe.name)


def choose_species(
    recipe: Recipe,
    data: Sequence[Path],
    *,
    folds: Sequence[int],
    work: Path,
    device: str,
    workers: int,
    report: Report,
    say: Callable[[str], None],
) -> tuple[SpeciesScore, ...]:
    """Learn with each of `folds` validating (resuming), and score each species there."""
    corpus = prepared_corpus(recipe, data, work=work, workers=workers, say=say)
    machine: dict[str, Any] = {"cache": work / "features", "device": device, "workers": workers}
    outputs = []
    for fold in folds:
        folder = work / f"fold-{fold}"
        say(f"training in {folder}")
        run = fit(recipe, corpus, folder=folder, fold=fold, report=report, **machine)
        outputs.append(run.outputs("validation"))
    return score_species(corpus, outputs)
