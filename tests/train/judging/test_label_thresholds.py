"""Thresholds of labels, where a window may carry several, are the best that validation knows."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from edge.bundle.heads import Head, JointEnergy
from edge.errors import SpecError
from tests.train.judging.test_nocall_f1 import ones
from tests.train.synthetic import corpus, outputs
from train.judging.calibrate import calibrate
from train.judging.judged import judge_windows
from train.judging.label_thresholds import FEWEST_WINDOWS, find_thresholds
from train.judging.nocall_f1 import Rows, best_threshold, micro_f1
from train.judging.truth import truth_of

CORPUS = corpus()
TRAIN, VALIDATION = outputs(CORPUS, train=True), outputs(CORPUS)


def drawn(seed: int, *, labels: int = 3, rows: int = 80, recordings: int = 20) -> Rows:
    """Rows whose labels have scores of different heights, and half of which are nocall."""
    rng = np.random.default_rng(seed)
    present = (rng.random((rows, labels)) < 0.3) & (rng.random((rows, 1)) < 0.5)
    height = rng.uniform(0.2, 0.7, labels)
    scores = np.clip(height * (0.3 + present) + 0.2 * rng.standard_normal(present.shape), 0.01, 1)
    return Rows(
        recording=rng.integers(recordings, size=rows),
        stratum=np.zeros(rows, np.int64),
        present=present,
        scores=scores.astype(np.float32).astype(np.float64),
        missing=np.zeros(rows, np.int64),
    )


def f1_of(rows: Rows, thresholds: Any) -> float:
    return float(micro_f1(rows, np.asarray(thresholds, np.float64), ones(rows))[0])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_of_one_label_alone_is_better(seed: int) -> None:
    rows = drawn(seed, rows=160)
    found = find_thresholds(rows)
    best = f1_of(rows, found)
    assert best >= f1_of(rows, best_threshold(rows)) - 1e-12
    for k, other in product(range(3), np.unique(np.append(rows.scores, 2.0))):
        changed = np.array(found)
        changed[k] = other
        assert f1_of(rows, changed) <= best + 1e-12


def test_labels_with_few_windows_share_a_threshold() -> None:
    rows = drawn(1)
    few = np.flatnonzero(rows.present[:, 2])[FEWEST_WINDOWS - 1 :]
    rows.present[few, 2] = False
    one = np.where(rows.present[:, 1], 0, rows.recording)  # many windows of one recording
    rows = Rows(
        recording=one,
        stratum=rows.stratum,
        present=rows.present,
        scores=rows.scores,
        missing=rows.missing,
    )
    found = find_thresholds(rows)
    assert found[1] == found[2] != found[0]
    assert (rows.scores >= found[1]).sum() == (rows.scores >= best_threshold(rows)).sum()


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_they_can_be_stored_whatever_the_scores_are(level: float) -> None:
    rows = drawn(3)
    for scores in (np.full_like(rows.scores, level), np.round(rows.scores)):
        same = Rows(
            recording=rows.recording,
            stratum=rows.stratum,
            present=rows.present,
            scores=scores,
            missing=rows.missing,
        )
        for threshold in find_thresholds(same):
            assert 0 < threshold <= 1
            assert float(np.float32(threshold)) == threshold


def test_a_calibration_gives_every_head_its_own_and_rows_are_judged_with_them() -> None:
    calibration = calibrate(CORPUS, TRAIN, VALIDATION, activation="sigmoid")
    assert isinstance(calibration.heads["joint_energy"].rule, JointEnergy)
    truth = truth_of(CORPUS, VALIDATION)
    for name, head in calibration.heads.items():
        assert len(head.label_thresholds) == len(VALIDATION.labels), name
        verdicts = head(VALIDATION.embedding, VALIDATION.logits)
        passing = verdicts.scores >= np.array(head.label_thresholds, np.float32)
        given = passing & verdicts.accepted[:, np.newaxis]
        opened = judge_windows(VALIDATION, truth, head).opened
        assert (given.any(1) == (opened >= 0)).all(), name
        assert given[opened >= 0, opened[opened >= 0]].all(), name


def test_other_heads_have_none() -> None:
    calibration = calibrate(CORPUS, TRAIN, VALIDATION, activation="softmax")
    assert all(head.label_thresholds == () for head in calibration.heads.values())
    assert "joint_energy" not in calibration.heads
    with pytest.raises(SpecError, match="have no meaning with softmax"):
        Head(
            activation="softmax",
            rule=JointEnergy(),
            threshold=0.0,
            scale=1.0,
            label_thresholds=(0.5,),
        )
