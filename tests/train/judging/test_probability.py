"""Scores become probabilities, and least scores for a precision, by events whose truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle.probability import Basis, Curve, Evidence
from edge.errors import UserError
from train.judging.events import Events
from train.judging.precision import FEWEST, find_least_scores, wilson
from train.judging.probability import (
    MOST_SHIFTED,
    NEAR_SLOPES,
    SHIFT,
    SLOPES,
    fit_calibration,
    fit_curve,
    reliability,
)
from train.judging.probability_report import (
    measure_precisions,
    measure_probability,
    probability_parts,
)

LABELS = ("ant", "bee", "cat")
BASIS = Basis(recordings="tones", method="synthetic", digest="0", events=1, right=0.5)


def drawn(curves: dict[int, Curve], count: int, seed: int = 0) -> Events:
    """Events whose labels are right as often as the curve of each says."""
    rng = np.random.default_rng(seed)
    label = rng.choice(list(curves), count)
    score = rng.uniform(0.02, 0.99, count)
    truth = np.array([curves[k](s) for k, s in zip(label, score, strict=True)])
    return Events(
        recording=np.arange(count), label=label, score=score, right=rng.uniform(size=count) < truth
    )


def test_a_calibration_recovers_the_truth() -> None:
    true = Curve(low=1.5, high=0.4, offset=0.7)
    found = fit_calibration(drawn({0: true, 1: true}, 20_000), LABELS, basis=BASIS)
    for score in (0.05, 0.2, 0.5, 0.8, 0.95):
        for label in ("ant", "bee", "cat"):
            assert found.probability(label, score) == pytest.approx(true(score), abs=0.03)


def test_labels_have_offsets_of_their_own_where_there_is_enough_of_them() -> None:
    often, seldom = (Curve(low=1.0, high=1.0, offset=offset) for offset in (1.0, -1.0))
    events = drawn({0: often, 1: seldom}, 4000)
    # Of the third label there is next to nothing: it has what all have.
    few = Events(
        recording=np.arange(3), label=np.full(3, 2), score=np.full(3, 0.5), right=np.ones(3, bool)
    )
    both = Events(
        **{
            f.name: np.concatenate([getattr(events, f.name), getattr(few, f.name)])
            for f in dataclasses.fields(Events)
        }
    )
    found = fit_calibration(both, LABELS, basis=BASIS)
    assert set(found.own) == {"ant", "bee"}
    assert found.probability("ant", 0.5) == pytest.approx(often(0.5), abs=0.05)
    assert found.probability("bee", 0.5) == pytest.approx(seldom(0.5), abs=0.05)
    assert found.shared is not None
    assert found.probability("cat", 0.5) == found.shared(0.5)


def test_a_label_with_few_events_stays_near_the_others() -> None:
    plain = Curve(low=1.0, high=1.0, offset=0.0)
    events = drawn({0: plain}, 2000)
    for count, far in ((10, 0.45), (1000, 0.05)):
        wrong = Events(
            recording=np.arange(count),
            label=np.ones(count, np.int64),
            score=np.full(count, 0.7),
            right=np.zeros(count, bool),
        )
        both = Events(
            **{
                f.name: np.concatenate([getattr(events, f.name), getattr(wrong, f.name)])
                for f in dataclasses.fields(Events)
            }
        )
        found = fit_calibration(both, LABELS, basis=BASIS).probability("bee", 0.7)
        assert found is not None
        assert found < far


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
)
def test_whatever_the_events_are_the_curve_never_falls(rows: list[tuple[float, bool]]) -> None:
    score, right = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], bool)
    for start in (None, Curve(low=0.5, high=2.0, offset=1.0)):
        curve = fit_curve(score, right, start=start)
        found = [curve(s) for s in np.linspace(0, 1, 50)]
        assert found == sorted(found)


def cost(x: Sequence[float], events: Events, start: Curve | None) -> float:
    """What a curve is to lower, of the logarithms of its slopes and its offset."""
    curve = Curve(low=float(np.exp(x[0])), high=float(np.exp(x[1])), offset=x[2])
    known = start or Curve(low=1.0, high=1.0, offset=0.0)
    spread = (SLOPES, SLOPES, MOST_SHIFTED) if start is None else (NEAR_SLOPES, NEAR_SLOPES, SHIFT)
    off = np.subtract(x, (np.log(known.low), np.log(known.high), known.offset)) / spread
    chance = np.array([curve(score) for score in events.score])
    right = np.where(events.right, chance, 1 - chance)
    return float(-np.log(right).sum() + 0.5 * (off @ off))


@pytest.mark.parametrize("start", [None, Curve(low=3.0, high=0.3, offset=-1.0)])
@pytest.mark.parametrize("count", [5, 50, 500])
def test_a_curve_is_the_likeliest_one_with_what_was_known_before(
    start: Curve | None, count: int
) -> None:
    events = drawn({0: Curve(low=1.0, high=1.0, offset=0.5)}, count)
    found = fit_curve(events.score, events.right, start=start)
    best = (float(np.log(found.low)), float(np.log(found.high)), found.offset)
    for i, step in product(range(3), (-0.05, 0.05)):
        beside = [value + step * (i == k) for k, value in enumerate(best)]
        assert cost(beside, events, start) > cost(best, events, start)


@pytest.mark.parametrize(("count", "right"), [(5, 3), (100, 0), (100, 100)])
def test_too_few_events_or_one_answer_only_are_refused(count: int, right: int) -> None:
    events = Events(
        recording=np.arange(count),
        label=np.zeros(count, np.int64),
        score=np.full(count, 0.5),
        right=np.arange(count) < right,
    )
    with pytest.raises(UserError, match=rf"{count} events were heard, of which {right} are right"):
        fit_calibration(events, LABELS, basis=BASIS)


def test_reliability_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    found = reliability(probability, np.array([False, True, True, True]))
    assert found["expected_calibration_error"] == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert [b["events"] for b in found["bins"]] == [2, 2]
    assert (found["events"], found["right"]) == (4, 0.75)


def test_a_calibration_is_reliable_on_events_it_has_not_seen() -> None:
    true = Curve(low=0.5, high=0.5, offset=-0.5)
    found = fit_calibration(drawn({0: true}, 3000), LABELS, basis=BASIS)
    unseen = drawn({0: true}, 3000, seed=1)
    measured = measure_probability(found, unseen, LABELS)
    assert measured is not None
    assert measured["expected_calibration_error"] < 0.03 < measured["score"]
    text = "\n".join(probability_parts(measured))
    assert f"**{measured['expected_calibration_error']:.3f}**" in text
    assert "It holds where as many events are right" in text
    assert measure_probability(None, unseen, LABELS) is None
    assert probability_parts(None) == []


def evidence(rows: list[tuple[str, float, bool]]) -> Evidence:
    names = sorted({row[0] for row in rows})
    return Evidence(
        labels=tuple(names),
        label=tuple(names.index(row[0]) for row in rows),
        score=tuple(row[1] for row in rows),
        right=tuple(int(row[2]) for row in rows),
    )


def test_the_least_score_keeps_the_precision() -> None:
    rows = [("ant", i / 100, i >= 40) for i in range(100)]
    found = find_least_scores(evidence(rows), 0.9).own["ant"]
    # 60 of 66 are 0.909, 60 of 67 are 0.896.
    assert (found.score, found.events, found.right) == (0.34, 66, 60)
    assert found.low < 0.9 < found.high


def test_events_with_one_score_are_in_or_out_together() -> None:
    rows = [("ant", 0.9, True)] * 20 + [("ant", 0.5, True)] * 5 + [("ant", 0.5, False)] * 5
    assert find_least_scores(evidence(rows), 0.9).own["ant"].score == 0.9


def test_labels_that_never_keep_it_and_labels_with_too_little() -> None:
    rows = [("ant", i / 50, i % 2 == 0) for i in range(50)]
    few = [(name, 0.5 + i / 20, True) for name in ("bee", "cat") for i in range(FEWEST - 1)]
    found = find_least_scores(evidence(rows + few * 3), 0.7)
    assert found.not_kept == ("ant",)
    assert set(found.own) == {"bee", "cat"}
    scarce = find_least_scores(evidence(rows + few), 0.7)
    assert scarce.own == {}
    assert scarce.together is not None
    assert scarce.together.low >= 0.7
    assert scarce.least("bee") == scarce.least("dog") == scarce.together.score
    assert scarce.least("ant") is None


def test_wilson() -> None:
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_least_scores_keep_their_precision_on_events_not_seen() -> None:
    true = Curve(low=1.0, high=1.0, offset=0.0)
    calibration = fit_calibration(drawn({0: true, 1: true}, 4000), LABELS, basis=BASIS)
    found = find_least_scores(calibration.evidence, 0.9)
    kept = dataclasses.replace(calibration, precisions={"0.9": found})
    (row,) = measure_precisions(kept, drawn({0: true, 1: true}, 4000, seed=1), LABELS)
    assert row["right"] / row["events"] == pytest.approx(0.9, abs=0.02)
    assert row["low"] < 0.9 < row["high"]
