"""Which recordings the picture of predictions over time shows, and that it is a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

from train.judging.judged import Judged
from train.judging.predictions import PICTURE, draw_predictions, longest_of_two_species
from train.judging.truth import KNOWN, UNKNOWN, Truth
from train.windows.outputs import WindowOutputs

# Windows of recordings 0 to 3: species 0, species 0 and longer, species 1, an unknown species.
LENGTHS, SPECIES = (2, 5, 3, 9), (0, 0, 1, -1)
RECORDING = np.repeat(np.arange(4), LENGTHS)
KIND = np.where(np.array(SPECIES) < 0, UNKNOWN, KNOWN)[RECORDING]


def windows(shown: np.ndarray) -> tuple[WindowOutputs, Judged]:
    recording = RECORDING[shown]
    starts = np.concatenate([2.5 * np.arange(n) for n in LENGTHS])[shown]
    scores = np.random.default_rng(0).random((len(recording), 2))
    outputs = WindowOutputs(
        recording=recording,
        start_s=starts,
        active=np.ones(len(recording), bool),
        embedding=np.zeros((len(recording), 1), np.float32),
        logits=scores.astype(np.float32),
        labels=("a", "b"),
    )
    named = scores.argmax(axis=1).astype(np.int64)
    truth = Truth(species=np.array(SPECIES)[recording], kind=KIND[shown], origin=KIND[shown].copy())
    judged = Judged(
        recording=recording,
        truth=truth,
        closed=named,
        opened=named,
        novelty=np.zeros(len(recording)),
        scores=scores,
    )
    return outputs, judged


def test_the_longest_recordings_of_two_species_are_shown(tmp_path: Path) -> None:
    outputs, judged = windows(np.ones(len(RECORDING), bool))
    assert longest_of_two_species(outputs, judged) == [1, 2]
    files = [f"{recording}.wav" for recording in outputs.recording]
    draw_predictions(outputs, judged, files, names=("A", "B"), threshold=0.5, out_dir=tmp_path)
    assert matplotlib.image.imread(tmp_path / PICTURE).std() > 0


def test_without_a_known_species_there_is_no_picture(tmp_path: Path) -> None:
    outputs, judged = windows(RECORDING == 3)
    draw_predictions(
        outputs, judged, ["3.wav"] * 9, names=("A", "B"), threshold=0.5, out_dir=tmp_path
    )
    assert not (tmp_path / PICTURE).exists()
