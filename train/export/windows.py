"""The windows of a run as the file that `edge.bundle.windows` describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FrontendSpec
from edge.bundle.windows import Split, Windows, write
from edge.errors import UserError
from train.corpus.corpus import Corpus, Recording
from train.judging.truth import truth_of
from train.learning.infer import windows_of, windows_of_all
from train.learning.run import TrainedRun
from train.learning.splits import fold_splits
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["write_windows"]


def write_windows(
    run: TrainedRun, corpus: Corpus, path: Path, *, cache: Path, most: int = 512, workers: int = 1
) -> dict[str, int]:
    """Write the file at `path`, and return how many windows each part of it has.

    At most `most` windows are for calibration. Raises `UserError` when a part has no recordings or
    the file cannot be written.
    """
    splits, spec = fold_splits(corpus, fold=run.fold), run.recipe.heard
    windows = Windows(
        frontend=spec.digest,
        training_data=corpus.digest,
        labels=tuple(run.labels),
        calibration=_one_each(splits.train, spec, cache, most),
        validation=_all_of(run, corpus, splits.validation, cache, workers),
        test=_all_of(run, corpus, splits.test, cache, workers),
    )
    write(Path(path), windows)
    return {
        "train": len(windows.calibration),
        "validation": len(windows.validation.features),
        "test": len(windows.test.features),
    }


def _one_each(
    recordings: Sequence[Recording], spec: FrontendSpec, cache: Path, most: int
) -> NDArray[np.float32]:
    """Return a window (n, C, F, T) of each of at most `most` recordings, the same every time.

    It is drawn among those in which something is heard.
    """
    if not recordings:
        raise UserError(
            "the corpus has no recordings to train on: there are no windows to calibrate with"
        )
    rng = np.random.default_rng(0)
    chosen = [recordings[i] for i in np.sort(rng.permutation(len(recordings))[:most])]
    windows = []
    for recording in chosen:
        cut = windows_of(recording, spec=spec, hop_s=HOP_S, cache=cache)
        among = np.flatnonzero(cut.active) if cut.active.any() else np.arange(len(cut.active))
        windows.append(cut.features[rng.choice(among)])
    return np.stack(windows)


def _all_of(
    run: TrainedRun, corpus: Corpus, recordings: Sequence[Recording], cache: Path, workers: int
) -> Split:
    """Return every window of `recordings` with what it should be called."""
    position = {r.path: i for i, r in enumerate(corpus.recordings)}
    cut = list(
        windows_of_all(recordings, spec=run.recipe.heard, hop_s=HOP_S, cache=cache, workers=workers)
    )
    if not cut:
        raise UserError(
            "the corpus leaves a split without recordings; prepare it with other shares or folds"
        )
    count = sum(len(windows.start_s) for windows in cut)
    windows = WindowOutputs(
        recording=np.concatenate(
            [
                np.full(len(w.start_s), position[r.path])
                for r, w in zip(recordings, cut, strict=True)
            ]
        ),
        start_s=np.concatenate([w.start_s for w in cut]),
        active=np.concatenate([w.active for w in cut]),
        embedding=np.zeros((count, 0), np.float32),
        logits=np.zeros((count, len(run.labels)), np.float32),
        labels=run.labels,
    )
    truth = truth_of(corpus, windows)
    return Split(
        features=np.concatenate([w.features for w in cut]),
        recording=windows.recording,
        species=truth.species,
        kind=truth.kind,
        origin=truth.origin,
    )
