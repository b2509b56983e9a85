"""The lists of species that a run would have submitted to BirdCLEF 2020, and what they score."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, shown
from edge.files import replacing
from edge.strictyaml import read_any
from train.commands.opened import calibration_of
from train.corpus.corpus import Corpus
from train.corpus.summary import markdown_table
from train.judging.submission import Lists, Weights, class_wise, lists_of, sample_wise
from train.judging.truth import truth_of
from train.learning.run import TrainedRun
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["read_region", "write_submission"]

CHUNK_S = 5.0


def read_region(file: Path, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which labels (K,) are in a YAML list; raises `ConfigError` for one that is unknown."""
    listed = read_any(file)
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ConfigError(f"{file}: must be a list of species")
    there = np.array([label in listed for label in labels])
    if not there.any():
        some = shown(listed[0]) if listed else "nothing"
        raise ConfigError(f"{file}: has none of the species of the run; it begins with {some}")
    return there


def write_submission(
    run: TrainedRun, corpus: Corpus, *, region: Path | None, weights: Weights, out: Path
) -> str:
    """Write the lists of the test's chunks with these `weights`, and return what each kind scores.

    Columns are file, start_s, end_s, label, weight.
    """
    outputs = _chunks(run.outputs("test"))
    head = calibration_of(run).head
    labels = run.labels
    there = np.ones(len(labels), bool) if region is None else read_region(region, labels)
    scores = head.scores(outputs.logits).astype(np.float64)
    truth = truth_of(corpus, outputs).species
    kinds: dict[Weights, Lists] = {
        kind: lists_of(scores, region=there, weights=kind) for kind in get_args(Weights)
    }
    _write(out, outputs, corpus, labels, kinds[weights])
    rows = [
        (
            kind,
            f"{class_wise(lists, truth, classes=len(labels)):.4f}",
            f"{sample_wise(lists, truth):.4f}",
            len(truth),
        )
        for kind, lists in kinds.items()
    ]
    return markdown_table(("weights", "c-mAP", "r-mAP", "chunks"), rows)


def _chunks(outputs: WindowOutputs) -> WindowOutputs:
    """Return every second window: those that do not overlap."""
    return outputs.select(np.round(outputs.start_s / HOP_S).astype(int) % 2 == 0)


def _write(
    out: Path, outputs: WindowOutputs, corpus: Corpus, labels: Sequence[str], lists: Lists
) -> None:
    with replacing(out) as staged, staged.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "start_s", "end_s", "label", "weight"))
        for i, (recording, start) in enumerate(
            zip(outputs.recording, outputs.start_s, strict=True)
        ):
            name = corpus.recordings[recording].path.name
            times = (f"{start:.2f}", f"{start + CHUNK_S:.2f}")
            for species, weight in zip(lists.order[i], lists.weights[i], strict=True):
                if weight > 0:
                    writer.writerow((name, *times, labels[species], f"{weight:.2f}"))
