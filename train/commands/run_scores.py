"""How likely the labels of a trained run are right, kept in its folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge.bundle.bundle import PROBABILITY
from edge.bundle.probability import ScoreCalibration, calibration_of
from edge.files import write_whole
from train.corpus.corpus import Corpus
from train.judging.calibration import Calibration
from train.judging.crossfit import BY_PARTS, held_out_events
from train.judging.events import events_in
from train.judging.probability import scores_of
from train.judging.probability_report import measure_probability
from train.learning.run import TrainedRun
from train.windows.outputs import WindowOutputs

__all__ = ["calibrate_scores", "measure_scores", "scores_in"]


def calibrate_scores(
    run: TrainedRun, corpus: Corpus, calibrated: Callable[[WindowOutputs], Calibration]
) -> None:
    """Find out by the validation fold, and keep it in the run's folder; too few events: nothing.

    `calibrated` chooses rule and threshold by windows.
    """
    validation, file = run.outputs("validation"), run.folder / PROBABILITY
    window_s = run.recipe.heard.window_s
    events = held_out_events(corpus, validation, calibrated, window_s=window_s)
    heard = [corpus.recordings[i] for i in np.unique(validation.recording)]
    scores = scores_of(events, heard, run.labels, method=BY_PARTS)
    if scores is None:
        file.unlink(missing_ok=True)
    else:
        write_whole(file, scores.content())


def scores_in(run: TrainedRun) -> ScoreCalibration | None:
    """Return what `calibrate_scores` has kept."""
    file = run.folder / PROBABILITY
    return calibration_of(file, file.read_bytes(), run.labels) if file.exists() else None


def measure_scores(
    run: TrainedRun, corpus: Corpus, calibration: Calibration
) -> dict[str, Any] | None:
    """Return how reliable the probabilities are on the test split; None where there are none."""
    window_s = run.recipe.heard.window_s
    events = events_in(corpus, run.outputs("test"), calibration.head, window_s=window_s)
    return measure_probability(scores_in(run), events, run.labels)
