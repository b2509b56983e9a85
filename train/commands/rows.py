"""Rows of 5 s by a network that hears each alone, and by the same one in whole recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edge.files import write_whole
from train.commands.opened import calibration_of
from train.corpus.corpus import Corpus
from train.corpus.summary import markdown_table
from train.judging.nocall_f1 import Rows, best_threshold, micro_f1, rows_of
from train.learning.infer import run_network
from train.learning.long_audio import in_whole_recordings
from train.learning.run import TrainedRun
from train.learning.running import run_batches
from train.learning.splits import fold_splits
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["compare_rows"]

HEADER = ("a row is heard", "threshold", "micro F1, validation", "micro F1, test", "rows")


def compare_rows(run: TrainedRun, corpus: Corpus, *, cache: Path, workers: int) -> str:
    """Write rows.json into the run's folder, and return the table.

    The threshold is the best one of the validation split, for each way of hearing.
    """
    splits = fold_splits(corpus, fold=run.fold)
    alone = [
        run_network(
            lambda x: run_batches(run.network, x),
            corpus,
            recordings,
            spec=run.recipe.frontend,
            labels=run.labels,
            hop_s=HOP_S,
            cache=cache,
            workers=workers,
        )
        for recordings in (splits.validation, splits.test)
    ]
    whole = [in_whole_recordings(run, corpus, windows) for windows in alone]
    ways = {"alone": alone, "in its whole recording": whole}
    rows = [{"heard": name, **_measured(run, corpus, *parts)} for name, parts in ways.items()]
    write_whole(run.folder / "rows.json", json.dumps(rows, indent=1) + "\n")
    table = [
        (
            row["heard"],
            *(f"{row[name]:.3f}" for name in ("threshold", "validation", "test")),
            row["rows"],
        )
        for row in rows
    ]
    return markdown_table(HEADER, table)


def _measured(
    run: TrainedRun, corpus: Corpus, validation: WindowOutputs, test: WindowOutputs
) -> dict[str, Any]:
    head = calibration_of(run).head
    learnt, judged = (
        rows_of(corpus, outputs, head.scores(outputs.logits).astype(np.float64))
        for outputs in (validation, test)
    )
    threshold = best_threshold(learnt)
    return {
        "threshold": threshold,
        "validation": _f1(learnt, threshold),
        "test": _f1(judged, threshold),
        "rows": len(judged.scores),
    }


def _f1(rows: Rows, threshold: float) -> float:
    return float(micro_f1(rows, threshold, np.ones((1, len(rows.scores))))[0])
