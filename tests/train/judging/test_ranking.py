"""Mean average precision against the definition, counted by hand and by scikit-learn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.judging.ranking import (
    class_wise_map,
    list_precision,
    ranks,
    sample_wise_map,
    write_lists,
)

SCORES = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]])
TRUTH = np.array([0, 0, 1, 2])
ONCE = np.ones((1, 4))


def test_a_list_counts_one_over_the_rank_of_its_species() -> None:
    assert ranks(SCORES)[:, 0].tolist() == [0, 2, 2, 2], "of equal scores all have the last rank"
    assert sample_wise_map(TRUTH, SCORES, ONCE) == pytest.approx([(1 + 1 / 3 + 1 + 1) / 4])
    assert sample_wise_map(TRUTH, SCORES, ONCE, top=2) == pytest.approx([3 / 4]), (
        "a list that ends before its species counts 0"
    )


def test_class_wise_is_scikit_learns_average_precision() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    scores = rng.random((60, 5))
    truth = rng.integers(5, size=60)
    weights = rng.random((3, 60))
    for b, value in enumerate(class_wise_map(truth, scores, weights)):
        each = [
            average_precision_score(truth == c, scores[:, c], sample_weight=weights[b])
            for c in range(5)
        ]
        assert value == pytest.approx(np.mean(each), abs=1e-9)


def few_levels(seed: int, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return scores as votes are: most are equal to many others."""
    return np.random.default_rng(seed).integers(4, size=shape) / 4


def test_equal_scores_have_no_order_among_rows() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(1)
    scores, truth, weights = few_levels(0, (90, 6)), rng.integers(6, size=90), rng.random((2, 90))
    found = class_wise_map(truth, scores, weights)
    for value, own in zip(found, weights, strict=True):
        each = [
            average_precision_score(truth == c, scores[:, c], sample_weight=own) for c in range(6)
        ]
        assert value == pytest.approx(np.mean(each), abs=1e-9)
    moved = rng.permutation(90)
    for top in (None, 3):
        assert class_wise_map(truth[moved], scores[moved], weights[:, moved], top=top) == (
            pytest.approx(class_wise_map(truth, scores, weights, top=top))
        )


def test_a_constant_score_says_nothing_whatever_the_order_of_files() -> None:
    truth = np.repeat(np.arange(8), 12)
    constant = np.full((96, 8), 0.5)
    assert class_wise_map(truth, constant, np.ones((1, 96))) == pytest.approx([1 / 8])
    assert sample_wise_map(truth, constant, np.ones((1, 96))) == pytest.approx([1 / 8])
    # Of eight equal labels there are no first three.
    assert class_wise_map(truth, constant, np.ones((1, 96)), top=3) == pytest.approx([0])
    assert sample_wise_map(truth, constant, np.ones((1, 96)), top=3) == pytest.approx([0])


def test_equal_scores_have_no_order_among_labels() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(2)
    scores, present = few_levels(3, (50, 7)), rng.random((50, 7)) < 0.4
    present[:, 0] |= ~present.any(axis=1)
    wanted = present.sum(axis=1)
    each = [average_precision_score(p, s) for p, s in zip(present, scores, strict=True)]
    assert list_precision(ranks(scores), present, wanted) == pytest.approx(each)
    moved = rng.permutation(7)
    for top in (2, None):
        expected = list_precision(ranks(scores), present, wanted, top=top)
        again = list_precision(ranks(scores[:, moved]), present[:, moved], wanted, top=top)
        assert again == pytest.approx(expected)
    assert list_precision(ranks(scores), present, wanted, top=7) == pytest.approx(each)


def test_a_species_is_only_ranked_where_a_list_names_it() -> None:
    # by hand, lists of one: species 0 is listed in row 0 (right), 1 in rows 1 (wrong) and 2
    # (right), 2 in row 3 (right)
    assert class_wise_map(TRUTH, SCORES, ONCE, top=1) == pytest.approx([(1 / 2 + 1 / 2 + 1) / 3])


def test_a_species_that_does_not_occur_is_left_out_of_the_mean() -> None:
    assert class_wise_map(TRUTH[:3], SCORES[:3], ONCE[:, :3]) == pytest.approx(
        [((1 + 2 / 3) / 2 + 1 / 2) / 2]
    )
    assert np.isnan(sample_wise_map(TRUTH, SCORES, 0 * ONCE)).all()


def test_lists_are_files_that_people_can_read(tmp_path: Path) -> None:
    write_lists(
        tmp_path / "lists.csv", ["a.wav", "b.wav"], np.array([0, 2.5]), ("x", "y", "z"), SCORES[:2]
    )
    with (tmp_path / "lists.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["x", "y", "z", "y", "z", "x"]
    assert rows[3] == {
        "file": "b.wav",
        "start_s": "2.50",
        "rank": "1",
        "label": "y",
        "score": "0.5000",
    }
