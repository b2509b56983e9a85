"""Corpora and window outputs made of numbers: a species is a direction in embedding space."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from train.corpus.corpus import Corpus, Recording, Role
from train.corpus.splits import SplitPlan, split_recordings
from train.windows.outputs import WindowOutputs


def recording(role: Role, label: str, number: int, recordist: str = "") -> Recording:
    name = f"{role}_{label}_{number:03d}"
    return Recording(
        path=Path(f"/somewhere/{name}.wav"),
        role=role,
        label=label,
        common_name=label.title(),
        recording=name,
        recordist=recordist,
        seconds=10.0,
        sha256=name,
    )


def corpus(*, species: int = 5, each: int = 10, unknowns: int = 12, seed: int = 1) -> Corpus:
    """Known species with a recordist per two recordings, and outliers of every role.

    Unknown species, two noises and a day of background.
    """
    known = [
        recording("known", f"known_{s}", i, f"Recordist {s} {i // 2}")
        for s in range(species)
        for i in range(each)
    ]
    unknown = [recording("unknown", f"unknown_{s}", i) for s in range(unknowns) for i in range(2)]
    noise = [recording("noise", label, i) for label in ("rain", "speech") for i in range(10)]
    background = [recording("background", "soundscape", i, "recorder") for i in range(20)]
    everything = split_recordings([*known, *unknown, *noise, *background], SplitPlan(seed=seed))
    return Corpus(root=Path("/somewhere"), recordings=everything)


def outputs(
    corpus: Corpus,
    *,
    train: bool = False,
    test: bool = False,
    spread: float = 0.3,
    windows: int = 3,
    seed: int = 1,
) -> WindowOutputs:
    """Windows of training, test or (neither) validation, whose logits are cosines.

    Each species' own direction plus noise.
    """
    rng = np.random.default_rng(seed)
    labels = tuple(label.label for label in corpus.labels)
    chosen = [i for i, r in enumerate(corpus.recordings) if _wanted(r, train=train, test=test)]
    positions = np.repeat(chosen, windows)
    centres = np.random.default_rng(7).standard_normal((len(labels), 16))
    embedding = spread * rng.standard_normal((len(positions), 16)) * 4
    for w, i in enumerate(positions):
        r = corpus.recordings[i]
        if r.role == "known":
            embedding[w] = centres[labels.index(r.label)] + spread * rng.standard_normal(16)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    # The last of several windows is quiet.
    active = np.arange(windows) != windows - 1 if windows > 1 else np.ones(1, bool)
    directions = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return WindowOutputs(
        recording=positions.astype(np.int64),
        start_s=np.tile(np.arange(windows) * 2.5, len(chosen)),
        active=np.tile(active, len(chosen)),
        embedding=embedding.astype(np.float32),
        logits=(10 * embedding @ directions.T).astype(np.float32),
        labels=labels,
    )


def _wanted(r: Recording, *, train: bool, test: bool) -> bool:
    if test:
        return r.split == "test"
    return r.split == "dev" and (r.fold > 0 if train else r.fold == 0)
