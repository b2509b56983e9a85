"""S2's submissions: ten species a chunk after the region's cut, weights descending or all 1."""

from __future__ import annotations

import numpy as np
import pytest

from train.judging.ranking import class_wise_map, sample_wise_map
from train.judging.submission import class_wise, lists_of, sample_wise

RNG = np.random.default_rng(3)
EVERYWHERE = np.ones(30, bool)


def test_ten_species_are_left_after_the_region_s_cut() -> None:
    scores = RNG.random((5, 30))
    region = np.arange(30) % 2 == 0
    lists = lists_of(scores, region=region, weights="descending")
    assert lists.order.shape == (5, 10)
    assert (lists.order % 2 == 0).all()
    for own, order in zip(scores, lists.order, strict=True):
        assert (np.diff(own[order]) <= 0).all()
        assert own[order[-1]] >= np.sort(own[::2])[-10]
    np.testing.assert_allclose(lists.weights[0], np.linspace(1, 0.1, 10))


def test_equal_weights_are_all_1_and_the_order_stays() -> None:
    scores = RNG.random((5, 30))
    falling, equal = (
        lists_of(scores, region=EVERYWHERE, weights=kind) for kind in ("descending", "equal")
    )
    assert (equal.weights == 1).all()
    assert np.array_equal(equal.order, falling.order)


def test_few_species_make_a_short_list() -> None:
    lists = lists_of(RNG.random((4, 3)), region=np.array([True, False, True]), weights="descending")
    assert lists.order.shape == (4, 2)
    assert lists.weights[0].tolist() == [1.0, 0.5]


def test_r_map_is_that_of_the_ranking() -> None:
    scores, truth = RNG.random((40, 30)), RNG.integers(0, 30, 40)
    lists = lists_of(scores, region=EVERYWHERE, weights="equal")
    expected = sample_wise_map(truth, scores, np.ones((1, 40)), top=10)[0]
    assert sample_wise(lists, truth) == pytest.approx(expected)
    silent = np.append(truth, -1)
    more = lists_of(np.append(scores, scores[:1], axis=0), region=EVERYWHERE, weights="equal")
    assert sample_wise(more, silent) == pytest.approx(expected)


def test_c_map_is_that_of_scikit_learn_over_the_chunks_that_list_a_species() -> None:
    from sklearn.metrics import average_precision_score

    scores, truth = RNG.random((60, 30)), RNG.integers(0, 30, 60)
    for kind in ("descending", "equal"):
        lists = lists_of(scores, region=EVERYWHERE, weights=kind)
        each = []
        for species in np.unique(truth):
            weight = np.where(lists.order == species, lists.weights, 0).sum(axis=1)
            listed, relevant = weight > 0, truth == species
            found = (relevant & listed).sum() / relevant.sum()
            whole = average_precision_score(relevant[listed], weight[listed]) if found else 0.0
            each.append(whole * found)
        assert class_wise(lists, truth, classes=30) == pytest.approx(np.mean(each))


def test_lists_do_not_depend_on_the_order_of_labels() -> None:
    scores, truth = RNG.integers(4, size=(40, 30)) / 4, RNG.integers(0, 30, 40)
    moved = RNG.permutation(30)
    for kind in ("descending", "equal"):
        lists = lists_of(scores, region=EVERYWHERE, weights=kind)
        other = lists_of(scores[:, moved], region=EVERYWHERE, weights=kind)
        there = np.argsort(moved)[truth]
        assert sample_wise(lists, truth) == pytest.approx(sample_wise(other, there))
        assert class_wise(lists, truth, classes=30) == pytest.approx(
            class_wise(other, there, classes=30)
        )


def test_what_equals_more_than_fit_is_in_no_list() -> None:
    votes = np.zeros((1, 30))
    votes[0, [4, 9, 20]] = 0.6, 0.2, 0.2
    lists = lists_of(votes, region=EVERYWHERE, weights="descending")
    assert lists.order[lists.weights > 0].tolist() == [4, 9, 20]
    assert lists.weights[lists.weights > 0] == pytest.approx([1, 0.8, 0.8])
    assert sample_wise(lists, np.array([20])) == pytest.approx(1 / 3)
    assert sample_wise(lists, np.array([0])) == 0


def test_c_map_of_weights_without_ties_is_that_of_scores() -> None:
    truth = np.array([0, 1, 0, 2])
    scores = np.array([[0.9, 0.05, 0.0], [0.1, 0.8, 0.2], [0.3, 0.6, 0.1], [0.0, 0.2, 0.9]])
    lists = lists_of(scores, region=np.ones(3, bool), weights="descending")
    lists.weights[:] = np.take_along_axis(scores, lists.order, axis=1) + 1e-9
    expected = class_wise_map(truth, scores + 1e-9, np.ones((1, 4)))[0]
    assert class_wise(lists, truth, classes=3) == pytest.approx(expected)
