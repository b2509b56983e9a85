from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score, roc_curve

from train.judging.metrics import Bootstrap, OpenSet, class_scores, macro_f1, share

ONCE = np.ones((1, 200))


def windows(
    seed: int, *, ties: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Novelty, known, truth and predicted of 200 windows of 6 classes."""
    rng = np.random.default_rng(seed)
    known = rng.random(200) < 0.6
    novelty = rng.standard_normal(200) - 0.8 * known
    truth = np.where(known, rng.integers(0, 5, 200), -1)  # class 5 never occurs
    predicted = np.where(rng.random(200) < 0.6, truth, rng.integers(-1, 6, 200))
    return np.round(novelty, 1) if ties else novelty, known, truth, predicted


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_auroc_and_fpr_are_scikit_learns(seed: int, ties: bool) -> None:
    novelty, known, truth, predicted = windows(seed, ties=ties)
    curves = OpenSet(novelty, known, truth == predicted)
    assert curves.numbers(ONCE)["auroc"][0] == pytest.approx(roc_auc_score(~known, novelty))
    false_rate, true_rate, _ = roc_curve(known, -novelty, drop_intermediate=False)
    assert curves.numbers(ONCE)["fpr95"][0] == pytest.approx(
        false_rate[np.argmax(true_rate >= 0.95)]
    )


def test_weights_are_repetitions() -> None:
    novelty, known, truth, predicted = windows(0, ties=True)
    weights = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(float)
    curves = OpenSet(novelty, known, truth == predicted)
    for i, counts in enumerate(weights.astype(int)):
        n, k, t, p = (np.repeat(column, counts) for column in (novelty, known, truth, predicted))
        once = np.ones((1, len(n)))
        repeated = OpenSet(n, k, t == p)
        assert curves.auroc(weights)[i] == pytest.approx(roc_auc_score(~k, n))
        for name, numbers in curves.numbers(weights).items():
            assert numbers[i] == pytest.approx(repeated.numbers(once)[name][0]), name
        assert macro_f1(truth, predicted, weights, classes=6)[i] == pytest.approx(
            macro_f1(t, p, once, classes=6)[0]
        )


def test_oscr_by_hand_and_its_two_limits() -> None:
    novelty = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    known = np.array([True, False, True, True, False])
    # accepting one by one: CCR 1/3 at FPR 0, then 1/3 at 1/2, then 1/3 (a wrong known), 2/3, then
    # 2/3 at 1
    by_hand = 0.5 * (1 / 3) + 0.5 * (2 / 3)
    once = np.ones((1, 5))
    assert OpenSet(novelty, known, np.array([True, False, False, True, False])).numbers(once)[
        "oscr"
    ][0] == pytest.approx(by_hand)
    all_right = OpenSet(novelty, known, np.ones(5, bool)).numbers(once)
    assert all_right["oscr"][0] == pytest.approx(all_right["auroc"][0])
    assert OpenSet(novelty, known, np.zeros(5, bool)).numbers(once)["oscr"][0] == 0


@given(st.integers(0, 1000))
def test_class_scores_are_scikit_learns(seed: int) -> None:
    _, known, truth, predicted = windows(seed)
    precision, recall, f1 = class_scores(truth, predicted, ONCE, classes=6)
    expected = precision_recall_fscore_support(
        truth, predicted, labels=range(6), zero_division=np.nan
    )
    np.testing.assert_allclose(precision[0], expected[0])
    np.testing.assert_allclose(recall[0], expected[1])
    np.testing.assert_allclose(f1[0, :5], expected[2][:5])
    assert np.isnan(f1[0, 5])
    mean = f1_score(truth, predicted, labels=range(5), average="macro", zero_division=0)
    assert macro_f1(truth, predicted, ONCE, classes=6)[0] == pytest.approx(mean)
    top1 = share(truth == predicted, ONCE, among=known)[0]
    assert top1 == pytest.approx(np.mean(truth[known] == predicted[known]))


def test_one_sided_windows_have_no_open_set_number() -> None:
    curves = OpenSet(np.arange(4.0), np.ones(4, bool), np.ones(4, bool))
    assert np.isnan(list(curves.numbers(np.ones((1, 4))).values())).all()


@pytest.mark.parametrize("kept", [True, False])
def test_resamples_keep_recordings_whole_and_the_weight_of_each_kind(kept: bool) -> None:
    recording = np.repeat(np.arange(30), 4)
    stratum = np.where(recording < 20, 0, 1)
    draw = Bootstrap(
        recording=recording, stratum=stratum, resamples=120, seed=3, most_kept=10**6 if kept else 0
    )
    seen: list[np.ndarray] = []

    def metric(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return np.asarray(weights.mean(1))

    assert draw.estimate(metric).high == pytest.approx(1)
    weights = np.concatenate(seen[1:])
    assert weights.shape == (120, 120)
    per_recording = weights.reshape(120, 30, 4)
    assert (per_recording == per_recording[..., :1]).all()
    np.testing.assert_allclose(per_recording[:, :20, 0].sum(1), 20)
    assert len(np.unique(weights, axis=0)) == 120
    assert (weights > 0).all()
    again = Bootstrap(recording=recording, stratum=stratum, resamples=120, seed=3)
    assert draw.estimate(lambda w: w @ recording) == again.estimate(lambda w: w @ recording)


def test_a_species_with_one_recording_does_not_pull_the_interval_off_the_number() -> None:
    rng = np.random.default_rng(0)
    truth = np.r_[np.repeat(np.arange(10), 1), np.repeat(np.arange(10, 20), 10)]
    # the rare species are the ones that are missed
    predicted = np.where((truth < 10) & (rng.random(110) < 0.7), 10, truth)
    draw = Bootstrap(recording=np.arange(110), stratum=np.zeros(110, int))
    estimate = draw.estimate(lambda w: macro_f1(truth, predicted, w, classes=20))
    assert estimate.low < estimate.value < estimate.high


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    # five windows a recording that agree: 100 facts, not 500
    value = np.repeat(rng.standard_normal(100), 5)
    draw = Bootstrap(
        recording=np.repeat(np.arange(100), 5), stratum=np.zeros(500, int), resamples=2000
    )
    estimate = draw.estimate(lambda w: (w @ value) / w.sum(1))
    assert estimate.value == pytest.approx(value.mean())
    standard_error = value.std() / np.sqrt(100)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * standard_error, rel=0.12)
    assert estimate.low < estimate.value < estimate.high


def test_an_undefined_number_has_no_interval() -> None:
    draw = Bootstrap(recording=np.arange(4), stratum=np.zeros(4, int), resamples=10)
    estimate = draw.estimate(lambda w: np.full(len(w), np.nan))
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
