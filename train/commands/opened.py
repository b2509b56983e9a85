"""A run with the corpus that it was trained on, and what `calibrate` has left in it."""

from __future__ import annotations

from pathlib import Path

from edge.errors import UserError
from train.corpus.corpus import Corpus, read_corpus
from train.judging.calibration import Calibration
from train.learning.run import TrainedRun, load_run

__all__ = ["CALIBRATION", "calibration_of", "opened"]

CALIBRATION = "calibration.npz"


def opened(folder: Path, prepared: Path) -> tuple[TrainedRun, Corpus]:
    """Return a finished run and its corpus.

    Raises `UserError` where one cannot be read, or the run was trained on another corpus: what it
    has said of recordings would be taken for that of others.
    """
    run, corpus = load_run(folder), read_corpus(prepared)
    if run.corpus != corpus.digest:
        raise UserError(
            f"{folder}: was trained on another corpus than {prepared}",
            suggestion="give that which 'edge-train fit' was given",
        )
    return run, corpus


def calibration_of(run: TrainedRun) -> Calibration:
    """Return what `edge-train calibrate` has found; raises `UserError` where it has not yet."""
    return Calibration.load(run.folder / CALIBRATION)
