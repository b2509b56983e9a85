"""Real windows as data, for whoever measures a bundle's network without the training code:
`edge-deploy quantize`.

One .npz, whole or not at all, features as the network takes them (float32, n x channels x n_mels x
frames):

format                          1
frontend, training_data         digests: of the spec the features were made with, of the recordings trained on
labels                          (K,) in the order of the logits
train_features                  windows of recordings trained on, one of each: to choose the ranges of whole numbers
validation_*, test_*            every window of these splits: features, recording (n,) a number per recording, species
                                (n,) position in `labels` or -1, kind and origin (n,) in words, as in `train.judging.truth`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FrontendSpec
from edge.errors import UserError
from edge.files import replacing
from train.corpus.corpus import Corpus, Recording
from train.judging.truth import truth_of
from train.learning.infer import hear, hear_all
from train.learning.run import TrainedRun
from train.learning.splits import fold_splits
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["write_windows"]

FORMAT = 1
Columns = dict[str, NDArray[Any]]


def write_windows(
    run: TrainedRun, corpus: Corpus, path: Path, *, cache: Path, most: int = 512, workers: int = 1
) -> dict[str, int]:
    """Write the file at `path`, with at most `most` windows to calibrate on; how many windows each
    part has.
    """
    splits, spec = fold_splits(corpus, fold=run.fold), run.recipe.frontend
    arrays: Columns = {
        "format": np.array(FORMAT),
        "frontend": np.array(spec.digest),
        "training_data": np.array(corpus.digest),
        "labels": np.array(run.labels, np.str_),
        "train_features": _one_each(splits.train, spec, cache, most),
    }
    for name, recordings in (("validation", splits.validation), ("test", splits.test)):
        columns = _all_of(run, corpus, recordings, cache, workers)
        arrays |= {f"{name}_{key}": column for key, column in columns.items()}
    with replacing(Path(path)) as staged, staged.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return {name: len(arrays[f"{name}_features"]) for name in ("train", "validation", "test")}


def _one_each(
    recordings: Sequence[Recording], spec: FrontendSpec, cache: Path, most: int
) -> NDArray[np.float32]:
    """A window of each of at most `most` recordings, drawn among those in which something is heard;
    the same every time.
    """
    if not recordings:
        raise UserError(
            "the corpus has no recordings to train on: there are no windows to calibrate with"
        )
    rng = np.random.default_rng(0)
    chosen = [recordings[i] for i in np.sort(rng.permutation(len(recordings))[:most])]
    windows = []
    for recording in chosen:
        heard = hear(recording, spec=spec, hop_s=HOP_S, cache=cache)
        among = np.flatnonzero(heard.active) if heard.active.any() else np.arange(len(heard.active))
        windows.append(heard.features[rng.choice(among)])
    return np.stack(windows)


def _all_of(
    run: TrainedRun, corpus: Corpus, recordings: Sequence[Recording], cache: Path, workers: int
) -> Columns:
    """Every window of `recordings` and its truth."""
    position = {r.path: i for i, r in enumerate(corpus.recordings)}
    heard = list(
        hear_all(recordings, spec=run.recipe.frontend, hop_s=HOP_S, cache=cache, workers=workers)
    )
    if not heard:
        raise UserError(
            "the corpus leaves a split without recordings; prepare it with other shares or folds"
        )
    count = sum(len(windows.start_s) for windows in heard)
    windows = WindowOutputs(
        recording=np.concatenate(
            [
                np.full(len(w.start_s), position[r.path])
                for r, w in zip(recordings, heard, strict=True)
            ]
        ),
        start_s=np.concatenate([w.start_s for w in heard]),
        active=np.concatenate([w.active for w in heard]),
        embedding=np.zeros((count, 0), np.float32),
        logits=np.zeros((count, len(run.labels)), np.float32),
        labels=run.labels,
    )
    truth = truth_of(corpus, windows)
    return {
        "features": np.concatenate([w.features for w in heard]),
        "recording": windows.recording,
        "species": truth.species,
        "kind": truth.kind,
        "origin": truth.origin,
    }
