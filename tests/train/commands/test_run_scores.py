"""A run of one's own network learns how likely its labels are right, and is measured on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tests.train.synthetic import corpus, outputs
from train.commands.run_scores import calibrate_scores, measure_scores, scores_in
from train.judging.calibrate import calibrate
from train.judging.calibration import Calibration
from train.judging.evaluate import evaluate
from train.judging.headline import headline
from train.judging.report import render_report
from train.learning.run import TrainedRun
from train.windows.outputs import WindowOutputs

CORPUS = corpus(each=40, unknowns=60)
TRAIN = outputs(CORPUS, train=True, spread=1.0)
VALIDATION, TEST = outputs(CORPUS, spread=1.0), outputs(CORPUS, test=True, spread=1.0)


def calibrated(windows: WindowOutputs) -> Calibration:
    return calibrate(CORPUS, TRAIN, windows, activation="softmax")


def run_in(folder: Path) -> TrainedRun:
    """What of a run is asked for: its folder, its labels, and what it says of windows."""
    parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    frontend = SimpleNamespace(window_s=5.0)
    run = SimpleNamespace(
        folder=folder,
        labels=VALIDATION.labels,
        recipe=SimpleNamespace(heard=frontend),
        outputs=parts.__getitem__,
    )
    return cast(TrainedRun, run)


def test_what_is_learnt_on_validation_is_measured_on_the_test(tmp_path: Path) -> None:
    run, chosen = run_in(tmp_path), calibrated(VALIDATION)
    calibrate_scores(run, CORPUS, calibrated)
    scores = scores_in(run)
    assert scores is not None
    (basis,) = scores.basis
    assert "by thresholds that were chosen without it" in basis.method
    measured = measure_scores(run, CORPUS, chosen)
    assert measured is not None
    report: dict[str, Any] = evaluate(
        CORPUS, TEST, chosen, more={"probability": measured}, resamples=10, out_dir=tmp_path / "r"
    )
    assert "## Probabilities, per event" in render_report(report)
    assert (tmp_path / "r" / "reliability.png").read_bytes().startswith(b"\x89PNG")
    error = measured["expected_calibration_error"]
    assert headline(report)["expected_calibration_error_per_event"] == error


def test_too_few_events_leave_a_run_without_and_take_away_what_was_there(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    calibrate_scores(run, CORPUS, calibrated)
    few = VALIDATION.select(np.arange(5))
    cast(Any, run).outputs = {"train": TRAIN, "validation": few, "test": TEST}.__getitem__
    calibrate_scores(run, CORPUS, lambda windows: calibrated(VALIDATION))
    assert scores_in(run) is None
    assert measure_scores(run, CORPUS, calibrated(VALIDATION)) is None
