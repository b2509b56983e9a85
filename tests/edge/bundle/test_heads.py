"""Every rejection rule against a textbook computation, and what all heads have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from edge.bundle.heads import Activation, Head
from edge.bundle.points import Points
from edge.bundle.rules import (
    RULES,
    Blend,
    Column,
    Energy,
    GaussianDensity,
    GaussianTail,
    JointEnergy,
    KnnDistance,
    MaxLogit,
    Rule,
    rule_arrays,
    rule_from_arrays,
)
from edge.errors import SpecError

Array = np.ndarray[Any, np.dtype[np.float32]]
RNG = np.random.default_rng(7)
CLASSES, DIMENSIONS = 4, 8


def _unit(rows: int) -> Array:
    points = RNG.standard_normal((rows, DIMENSIONS)).astype(np.float32)
    unit: Array = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


EMBEDDING = _unit(25)
LOGITS = (3 * RNG.standard_normal((25, CLASSES))).astype(np.float32)
GAUSSIANS = {
    "means": _unit(CLASSES),
    "mu": RNG.uniform(0.2, 0.8, CLASSES).astype(np.float32),
    "sigma": RNG.uniform(0.05, 0.3, CLASSES).astype(np.float32),
}
KNN = KnnDistance(points=_unit(60), k=5)
MEMBERS: tuple[Rule, ...] = (
    GaussianDensity(**GAUSSIANS),
    GaussianTail(**GAUSSIANS),
    KNN,
    MaxLogit(),
    Energy(),
)
BLEND = Blend(weights=np.array([0.5, -0.1, 2.0, 0.3, 0.0], np.float32), rules=MEMBERS)
EVERY_RULE: tuple[Rule, ...] = (*MEMBERS, BLEND, JointEnergy(), Column(index=3))


def _distance_to_predicted_mean() -> tuple[Array, Array]:
    predicted = LOGITS.argmax(axis=1)
    distance = [
        np.sqrt(((e - GAUSSIANS["means"][k]) ** 2).sum())
        for e, k in zip(EMBEDDING, predicted, strict=True)
    ]
    return np.array(distance), predicted


def test_gaussian_density_is_scipys() -> None:
    distance, predicted = _distance_to_predicted_mean()
    expected = -scipy.stats.norm.logpdf(
        distance, GAUSSIANS["mu"][predicted], GAUSSIANS["sigma"][predicted]
    )
    np.testing.assert_allclose(
        MEMBERS[0].novelty(EMBEDDING, LOGITS), expected, rtol=1e-4, atol=1e-5
    )


def test_the_papers_threshold_is_a_density_of_a_half() -> None:
    """Reject when the density is below 0.5, that is when minus its logarithm is above log 2."""
    head = Head(activation="softmax", rule=MEMBERS[0], threshold=float(np.log(2)), scale=1.0)
    distance, predicted = _distance_to_predicted_mean()
    density = scipy.stats.norm.pdf(
        distance, GAUSSIANS["mu"][predicted], GAUSSIANS["sigma"][predicted]
    )
    np.testing.assert_array_equal(head(EMBEDDING, LOGITS).accepted, density >= 0.5)


def test_gaussian_tail_orders_a_class_as_its_survival_function() -> None:
    distance, predicted = _distance_to_predicted_mean()
    survival = scipy.stats.norm.sf(
        distance, GAUSSIANS["mu"][predicted], GAUSSIANS["sigma"][predicted]
    )
    np.testing.assert_allclose(
        scipy.stats.norm.sf(MEMBERS[1].novelty(EMBEDDING, LOGITS)), survival, rtol=1e-3, atol=1e-12
    )


def test_gaussian_tail_does_not_reject_the_very_typical() -> None:
    centre, logits = GAUSSIANS["means"][:1], np.eye(CLASSES, dtype=np.float32)[:1]
    tail, density = (float(rule.novelty(centre, logits)[0]) for rule in (MEMBERS[1], MEMBERS[0]))
    assert tail < 0
    assert density > float(MEMBERS[0].novelty(_at_distance(GAUSSIANS["mu"][0]), logits)[0])


def _at_distance(distance: float) -> Array:
    """Return a point at `distance` from the mean of class 0."""
    step = np.zeros((1, DIMENSIONS), np.float32)
    step[0, 0] = distance
    return GAUSSIANS["means"][:1] + step


def test_knn_is_scikit_learns() -> None:
    expected = NearestNeighbors(n_neighbors=5).fit(KNN.points).kneighbors(EMBEDDING)[0][:, -1]
    np.testing.assert_allclose(KNN.novelty(EMBEDDING, LOGITS), expected, atol=1e-5)


def test_knn_with_fewer_points_than_neighbours_takes_the_farthest() -> None:
    rule = KnnDistance(points=KNN.points[:3], k=5)
    np.testing.assert_allclose(
        rule.novelty(EMBEDDING, LOGITS), Points(KNN.points[:3]).distances(EMBEDDING).max(axis=1)
    )


def test_logit_rules_are_the_textbooks() -> None:
    np.testing.assert_array_equal(MaxLogit().novelty(EMBEDDING, LOGITS), -LOGITS.max(axis=1))
    np.testing.assert_allclose(
        Energy().novelty(EMBEDDING, LOGITS), -scipy.special.logsumexp(LOGITS, axis=1), rtol=1e-5
    )


def test_energy_of_huge_logits_does_not_overflow() -> None:
    assert Energy().novelty(EMBEDDING[:1], np.full((1, 3), 1e4, np.float32))[0] == pytest.approx(
        -1e4 - np.log(3)
    )


def test_blend_is_the_decision_function_of_logistic_regression() -> None:
    raw = np.stack([rule.novelty(EMBEDDING, LOGITS) for rule in MEMBERS], axis=1)
    model = LogisticRegression(max_iter=1000).fit(raw, np.arange(len(raw)) % 2)
    blend = Blend(weights=model.coef_[0], rules=MEMBERS)
    expected = model.decision_function(raw) - model.intercept_
    np.testing.assert_allclose(blend.novelty(EMBEDDING, LOGITS), expected, rtol=1e-4, atol=1e-5)


def test_every_kind_of_rule_is_tested_here() -> None:
    assert {rule.kind for rule in EVERY_RULE} == set(RULES)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.kind)
def test_a_rule_survives_a_file_of_arrays(rule: Rule, tmp_path: Path) -> None:
    np.savez(tmp_path / "head.npz", **rule_arrays(rule))  # type: ignore[arg-type]
    with np.load(tmp_path / "head.npz", allow_pickle=False) as arrays:
        again = rule_from_arrays(dict(arrays))
    assert again.kind == rule.kind
    np.testing.assert_array_equal(again.novelty(EMBEDDING, LOGITS), rule.novelty(EMBEDDING, LOGITS))


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.kind)
def test_windows_are_judged_one_by_one(rule: Rule) -> None:
    """A batch gives what its windows give alone: no rule looks at its neighbours."""
    alone = np.concatenate(
        [rule.novelty(EMBEDDING[i : i + 1], LOGITS[i : i + 1]) for i in range(len(EMBEDDING))]
    )
    np.testing.assert_allclose(alone, rule.novelty(EMBEDDING, LOGITS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("missing", "kind"), [("means", "gaussian_tail"), ("points", "knn"), ("weights", "blend")]
)
def test_a_missing_array_is_named(missing: str, kind: str) -> None:
    arrays = rule_arrays(next(rule for rule in EVERY_RULE if rule.kind == kind))
    del arrays[missing]
    with pytest.raises(SpecError, match=f"'{missing}' is missing"):
        rule_from_arrays(arrays)


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(SpecError, match="'magic' is none of"):
        rule_from_arrays({"kind": np.array("magic")})


@given(
    raw=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=30),
    threshold=st.floats(-20, 20),
    scale=st.floats(0.01, 10),
)
def test_novelty_grows_with_the_raw_value_and_is_a_half_at_the_threshold(
    raw: list[float], threshold: float, scale: float
) -> None:
    head = Head(activation="softmax", rule=MaxLogit(), threshold=threshold, scale=scale)
    logits = -np.sort(np.array(raw, np.float32))[:, None]
    verdicts = head(EMBEDDING[: len(raw)], logits)
    assert (np.diff(verdicts.novelty) >= 0).all()
    assert ((verdicts.novelty >= 0) & (verdicts.novelty <= 1)).all()
    assert (verdicts.accepted == (-logits[:, 0] <= np.float64(threshold))).all()
    assert (verdicts.novelty[verdicts.accepted] <= 0.5).all()
    at_threshold = Head(activation="softmax", rule=MaxLogit(), threshold=float(raw[0]), scale=scale)
    np.testing.assert_array_equal(
        at_threshold(EMBEDDING[:1], -np.array([[raw[0]]], np.float32)).novelty, 0.5
    )


def _with_other(logits: Array) -> Array:
    """Return the softmax with one more logit of 0, whose own share is left out."""
    with_zero = np.concatenate([logits, np.zeros((len(logits), 1), np.float32)], axis=1)
    shares: Array = scipy.special.softmax(with_zero, axis=1)[:, :-1]
    return shares


SCORES: dict[Activation, Callable[[Array], Array]] = {
    "softmax": lambda logits: np.asarray(scipy.special.softmax(logits, axis=1)),
    "softmax_other": _with_other,
    "sigmoid": lambda logits: np.asarray(scipy.special.expit(logits)),
}


@pytest.mark.parametrize("activation", get_args(Activation))
def test_scores_are_the_activation_even_of_huge_logits(activation: Activation) -> None:
    head = Head(activation=activation, rule=MaxLogit(), threshold=0.0, scale=1.0)
    for logits in (
        LOGITS,
        LOGITS - 20,
        np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], np.float32),
    ):
        np.testing.assert_allclose(
            head.scores(logits), SCORES[activation](logits), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"activation": "relu"}, "relu"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"scale": 0.0}, "scale 0"),
        ({"scale": -1.0}, "scale -1"),
    ],
)
def test_an_unusable_head_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        Head(
            **{
                "activation": "softmax",
                "rule": MaxLogit(),
                "threshold": 0.0,
                "scale": 1.0,
                **change,
            }
        )
