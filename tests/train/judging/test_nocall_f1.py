"""Row-wise micro F1 with nocall, against scikit-learn and against sums done by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from edge.bundle.heads import Head, MaxLogit
from edge.errors import UserError
from tests.train.synthetic import corpus, outputs
from train.corpus.corpus import Corpus
from train.judging.calibrate import calibrate
from train.judging.evaluate import evaluate
from train.judging.nocall_f1 import (
    DECIDES,
    DECIDES_SLID,
    RESAMPLED,
    Rows,
    best_threshold,
    judge_rows,
    micro_f1,
    resampled_threshold,
    rows_of,
)
from train.judging.post_processing import VARIANTS, corrected, given_scores, slid
from train.judging.report import render_report
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

CORPUS = corpus()
VALIDATION, TEST = outputs(CORPUS, windows=4, seed=3), outputs(CORPUS, test=True, windows=4, seed=4)
Floats = NDArray[np.float64]
HEAD = Head(
    activation="sigmoid",
    rule=MaxLogit(),
    threshold=-2.0,
    scale=1.0,
    label_thresholds=(0.9, 0.95, 0.99, 0.97, 0.9),
)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-(logits - 4.0))))


def softmax(logits: NDArray[np.float32]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def ones(rows: Rows) -> Floats:
    return np.ones((1, len(rows)))


def rows_with(present: list[list[int]], scores: list[list[float]], **more: Any) -> Rows:
    """Rows of as many recordings, of which `present` and `scores` are (N, K)."""
    count = len(scores)
    return Rows(
        recording=np.arange(count),
        stratum=np.zeros(count, np.int64),
        present=np.array(present, bool),
        scores=np.array(scores),
        missing=more.get("missing", np.zeros(count, np.int64)),
    )


def pairs(rows: Rows, threshold: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and answers as scikit-learn wants them: (N, K + 1), the last label is nocall."""
    said = rows.scores >= threshold
    columns = [(mask, ~mask.any(axis=1)) for mask in (rows.present, said)]
    truth, answers = (np.column_stack(pair) for pair in columns)
    return truth, answers


def three(
    scores: Floats, *, starts: tuple[float, ...] = (0.0, 2.5, 5.0), species: int = 0
) -> tuple[Corpus, WindowOutputs]:
    """Windows of one recording of a known species, all active; their logits are zero."""
    position = next(i for i, r in enumerate(CORPUS.recordings) if r.label == f"known_{species}")
    count = len(scores)
    return CORPUS, WindowOutputs(
        recording=np.full(count, position),
        start_s=np.array(starts),
        active=np.ones(count, bool),
        embedding=np.zeros((count, 2), np.float32),
        logits=np.zeros((count, scores.shape[1]), np.float32),
        labels=TEST.labels[: scores.shape[1]],
    )


@pytest.mark.parametrize("scores", [sigmoid, softmax])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.9, 2.0])
def test_micro_f1_is_scikit_learns(scores: Any, threshold: float) -> None:
    rows = rows_of(CORPUS, TEST, scores(TEST.logits))
    truth, said = pairs(rows, threshold)
    assert micro_f1(rows, threshold, ones(rows))[0] == pytest.approx(
        f1_score(truth, said, average="micro")
    )


@pytest.mark.parametrize("scores", [sigmoid, softmax])
def test_no_threshold_is_better_than_the_one_chosen(scores: Any) -> None:
    rows = rows_of(CORPUS, VALIDATION, scores(VALIDATION.logits))
    best = micro_f1(rows, best_threshold(rows), ones(rows))[0]
    everywhere = [
        micro_f1(rows, t, ones(rows))[0]
        for t in (*np.unique(rows.scores), np.nextafter(rows.scores.max(), 2), 0.0)
    ]
    assert best == pytest.approx(max(everywhere), abs=1e-12)


def test_where_nothing_is_ever_right_it_is_best_to_say_nothing() -> None:
    rows = rows_with([[0], [0], [1]], [[0.9], [0.8], [0.1]])
    threshold = best_threshold(rows)
    assert threshold > 0.9
    assert micro_f1(rows, threshold, ones(rows))[0] == pytest.approx(2 / 3)


def test_rows_do_not_overlap_and_quiet_ones_are_nocall() -> None:
    rows = rows_of(CORPUS, TEST, sigmoid(TEST.logits))
    truth = truth_of(CORPUS, TEST)
    even = np.rint(TEST.start_s / 2.5) % 2 == 0
    assert len(rows) == even.sum() == len(TEST) / 2
    expected = np.where(truth.known, truth.species, -1)[even, np.newaxis]
    assert (rows.present == (expected == np.arange(len(TEST.labels)))).all()
    quiet = dataclasses.replace(TEST, active=np.zeros(len(TEST), bool))
    assert not rows_of(CORPUS, quiet, sigmoid(TEST.logits)).present.any()
    late = dataclasses.replace(TEST, start_s=TEST.start_s * 0.998)  # a hop of whole frames
    assert rows_of(CORPUS, late, sigmoid(TEST.logits)).recording.tolist() == rows.recording.tolist()


def test_the_sliding_window_takes_what_is_there() -> None:
    scores = np.array([[0.8, 0.0], [0.4, 0.4], [0.0, 0.8]])
    _, windows = three(scores)
    expected = [[(0.4 + 0.1) / 0.75, 0.1 / 0.75], [0.4, 0.4], [0.1 / 0.75, (0.4 + 0.1) / 0.75]]
    np.testing.assert_allclose(slid(windows, scores), expected)
    shuffled = np.array([2, 0, 1])
    np.testing.assert_allclose(
        slid(windows.select(shuffled), scores[shuffled]), np.array(expected)[shuffled]
    )
    _, apart = three(scores, starts=(0.0, 5.0, 10.0))
    np.testing.assert_array_equal(slid(apart, scores), scores)
    other = dataclasses.replace(windows, recording=np.array([3, 4, 5]))
    np.testing.assert_array_equal(slid(other, scores), scores)


def test_the_global_correction_is_by_the_whole_recording() -> None:
    scores = np.array([[0.2, 0.5], [0.9, 0.4], [0.3, 0.1]])
    _, windows = three(scores)
    np.testing.assert_allclose(corrected(windows, scores), [[0.26, 0.5], [1.0, 0.4], [0.39, 0.1]])
    apart = dataclasses.replace(windows, recording=np.array([3, 4, 5]))
    np.testing.assert_allclose(corrected(apart, scores), [[0.2, 0.5], [1.0, 0.4], [0.3, 0.1]])


def test_each_way_has_its_threshold_from_validation_and_an_interval() -> None:
    found = judge_rows(CORPUS, VALIDATION, TEST, HEAD, resamples=60, seed=0)
    variants = found["variants"]
    assert [row["post_processing"] for row in variants] == [
        DECIDES,
        DECIDES_SLID,
        *VARIANTS,
        RESAMPLED,
    ]
    assert [row["threshold"] for row in variants[:2]] == [None, None]
    scores = (HEAD.scores(part.logits).astype(float) for part in (VALIDATION, TEST))
    learnt, judged = (
        rows_of(CORPUS, part, own) for part, own in zip((VALIDATION, TEST), scores, strict=True)
    )
    raw = variants[2]
    assert raw["threshold"] == best_threshold(learnt)
    assert raw["micro_f1"].value == pytest.approx(
        micro_f1(judged, raw["threshold"], ones(judged))[0]
    )
    assert raw["gain"].value == raw["gain"].low == raw["gain"].high == 0
    assert (found["rows"], found["nocall"]) == (
        len(judged),
        int((judged.wanted == 0).sum()),
    )
    for row in found["variants"]:
        assert row["micro_f1"].low < row["micro_f1"].value < row["micro_f1"].high
        assert row["gain"].value == pytest.approx(row["micro_f1"].value - raw["micro_f1"].value)


def test_a_threshold_by_resamples_is_not_led_by_one_recording() -> None:
    """Nine recordings ask for 0.5; in one, many rows have a species at 0.3, where noise is, too."""
    present, scores, recording = [], [], []
    for number in range(9):
        present += [[1], [1], [0], [0]]
        scores += [[0.6], [0.5], [0.31], [0.1]]
        recording += [number] * 4
    present += [[1]] * 12
    scores += [[0.3]] * 12
    rows = dataclasses.replace(rows_with(present, scores), recording=np.array(recording + [9] * 12))
    assert best_threshold(rows) == 0.3
    assert resampled_threshold(rows) == 0.5
    assert resampled_threshold(rows) == resampled_threshold(rows)


def test_what_the_bundle_decides_is_a_variant_of_its_own() -> None:
    given = given_scores(TEST, HEAD)
    scores = HEAD.scores(TEST.logits)
    accepted = TEST.logits.max(1) >= 2.0
    expected = (scores >= np.array(HEAD.label_thresholds, np.float32)) & accepted[:, np.newaxis]
    assert ((given > 0) == expected).all()
    assert expected.any()
    assert not accepted.all()
    found = judge_rows(CORPUS, VALIDATION, TEST, HEAD, resamples=10, seed=0)["variants"][0]
    truth, said = pairs(rows_of(CORPUS, TEST, given), 1e-9)
    assert found["micro_f1"].value == pytest.approx(f1_score(truth, said, average="micro"))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_several_labels_in_a_row_are_scikit_learns(threshold: float) -> None:
    rng = np.random.default_rng(2)
    present = (rng.random((60, 4)) < 0.3).astype(int).tolist()
    rows = rows_with(present, rng.random((60, 4)).tolist())
    truth, said = pairs(rows, threshold)
    expected = f1_score(truth, said, average="micro")
    assert micro_f1(rows, threshold, ones(rows))[0] == pytest.approx(expected)
    best = micro_f1(rows, best_threshold(rows), ones(rows))[0]
    assert best == pytest.approx(max(micro_f1(rows, t, ones(rows))[0] for t in rows.scores.flat))


def test_a_species_that_is_no_label_cannot_be_right_and_is_wanted() -> None:
    rows = rows_with([[0], [1]], [[0.1], [0.9]], missing=np.array([1, 1]))
    # Nothing is said of the first row, which has an animal: nocall is wrong there.
    assert micro_f1(rows, 0.5, ones(rows))[0] == pytest.approx(2 * 1 / (2 + 3))


def test_the_report_has_them_where_validation_is_given() -> None:
    calibration = calibrate(CORPUS, outputs(CORPUS, train=True), VALIDATION, activation="softmax")
    report = evaluate(CORPUS, TEST, calibration, validation=VALIDATION, resamples=20)
    text = render_report(report)
    assert "## Rows of 5 s, nocall included" in text
    for row in report["rows"]["variants"]:
        (line,) = [
            line for line in text.splitlines() if line.startswith(f"| {row['post_processing']} |")
        ]
        assert f"{row['micro_f1']['value']:.3f} [{row['micro_f1']['low']:.3f}" in line
    without = evaluate(CORPUS, TEST, calibration, resamples=5)
    assert "rows" not in without
    assert "## Rows" not in render_report(without)
    other = dataclasses.replace(VALIDATION, labels=tuple(reversed(VALIDATION.labels)))
    with pytest.raises(UserError, match="different labels"):
        evaluate(CORPUS, TEST, calibration, validation=other, resamples=5)
