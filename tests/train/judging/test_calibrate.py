from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from edge.bundle.heads import RULES, Activation, GaussianDensity, GaussianTail, KnnDistance
from edge.errors import UserError
from tests.train.synthetic import corpus, outputs
from train.judging.calibrate import calibrate, choose_rule
from train.judging.calibrate_head import calibrate_head
from train.judging.calibration import RULE_NAMES, Calibration
from train.judging.fitted_head import macro_auroc
from train.judging.rules import AT_ACCEPTANCE, PAPER
from train.judging.truth import BACKGROUND, UNKNOWN, truth_of

CORPUS = corpus()
TRAIN, VALIDATION = outputs(CORPUS, train=True), outputs(CORPUS)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(CORPUS, TRAIN, VALIDATION, activation="softmax")


def test_a_plan_may_name_the_rules_that_every_run_has(calibration: Calibration) -> None:
    assert set(calibration.heads) - {"blend"} == set(RULE_NAMES)


def test_the_papers_rule_rejects_where_scipys_density_is_below_a_half(
    calibration: Calibration,
) -> None:
    head = calibration.heads[PAPER]
    rule = head.rule
    assert isinstance(rule, GaussianDensity)
    truth = truth_of(CORPUS, TRAIN)
    own = TRAIN.embedding[truth.species == 2]
    np.testing.assert_allclose(rule.means[2], own.mean(0), atol=1e-6)
    validation = VALIDATION.select(truth_of(CORPUS, VALIDATION).species == 2)
    mu, sigma = scipy.stats.norm.fit(np.linalg.norm(validation.embedding - own.mean(0), axis=1))
    predicted = VALIDATION.select(VALIDATION.logits.argmax(1) == 2)
    density = scipy.stats.norm.pdf(
        np.linalg.norm(predicted.embedding - own.mean(0), axis=1), mu, sigma
    )
    np.testing.assert_array_equal(
        head(predicted.embedding, predicted.logits).accepted, density >= 0.5
    )


def test_thresholds_let_the_wanted_share_of_known_windows_pass(calibration: Calibration) -> None:
    known = VALIDATION.select(truth_of(CORPUS, VALIDATION).known)
    for name, head in calibration.heads.items():
        accepted = head(known.embedding, known.logits).accepted.mean()
        if name != PAPER:
            assert 0.95 <= accepted <= 0.95 + 1.5 / len(known), name


def test_a_class_with_few_validation_windows_takes_the_pooled_gaussian() -> None:
    truth = truth_of(CORPUS, VALIDATION)
    few = VALIDATION.select((truth.species != 0) | (np.cumsum(truth.species == 0) <= 2))
    rule = calibrate(CORPUS, TRAIN, few, activation="softmax").heads[PAPER].rule
    assert isinstance(rule, GaussianDensity)
    left = truth_of(CORPUS, few)
    distance = np.linalg.norm(few.embedding - rule.means[left.species], axis=1)[left.known]
    assert rule.mu[0] == pytest.approx(distance.mean(), rel=1e-4)
    assert rule.sigma[0] == pytest.approx(distance.std(), rel=1e-4)


def test_the_neighbours_are_a_balanced_part_of_training(calibration: Calibration) -> None:
    rule = calibration.heads["knn_5"].rule
    assert isinstance(rule, KnnDistance)
    truth = truth_of(CORPUS, TRAIN)
    assert len(rule.points) == truth.known.sum()  # fewer than the limit: all of them
    assert {tuple(p) for p in rule.points} == {tuple(p) for p in TRAIN.embedding[truth.known]}


def test_the_tail_differs_from_the_density_in_its_shrunken_spread(calibration: Calibration) -> None:
    density, tail = calibration.heads[PAPER].rule, calibration.heads["gaussian_tail"].rule
    assert isinstance(density, GaussianDensity)
    assert isinstance(tail, GaussianTail)
    assert tail.sigma.std() < density.sigma.std()


def test_the_choice_weighs_unknown_species_half() -> None:
    truth = truth_of(CORPUS, VALIDATION)
    novelty = np.random.default_rng(0).standard_normal(len(VALIDATION))
    per_kind = {
        kind: roc_auc_score(~truth.known[m], novelty[m])
        for kind in (UNKNOWN, "noise: rain", "noise: speech", BACKGROUND)
        for m in [truth.known | (truth.kind == kind)]
    }
    noises = np.mean([value for kind, value in per_kind.items() if kind != UNKNOWN])
    assert macro_auroc(novelty, truth)[0] == pytest.approx((per_kind[UNKNOWN] + noises) / 2)


def test_the_best_rule_is_chosen_and_ties_go_to_the_lower_false_acceptance() -> None:
    def row(rule: str, auroc: float, fpr95: float) -> dict[str, object]:
        return {"rule": rule, "auroc": auroc, "fpr95": fpr95}

    assert choose_rule([row("energy", 0.8, 0.5), row("blend", 0.9, 0.5)]) == "blend"
    assert choose_rule([row("energy", 0.8996, 0.3), row("blend", 0.9, 0.5)]) == "energy"
    assert choose_rule([row(PAPER, 0.99, 0.1), row("blend", 0.9, 0.5)]) == "blend"


def test_the_blend_is_no_worse_than_chance_allows_and_its_weights_are_positive(
    calibration: Calibration,
) -> None:
    rows = {row["rule"]: row for row in calibration.table}
    assert rows["blend"]["auroc"] > 0.9
    weights = calibration.heads["blend"].rule.weights  # type: ignore[attr-defined]
    assert (weights >= 0).all()
    assert weights.any()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_saving_and_loading_keeps_every_verdict(activation: Activation, tmp_path: Path) -> None:
    calibration = calibrate(CORPUS, TRAIN, VALIDATION, activation=activation)
    calibration.save(tmp_path / "calibration.npz")
    loaded = Calibration.load(tmp_path / "calibration.npz")
    assert loaded.table == calibration.table
    assert loaded.chosen == calibration.chosen
    assert list(loaded.heads) == list(calibration.heads)
    assert loaded.digest == calibration.digest
    others = {dataclasses.replace(calibration, chosen=name).digest for name in calibration.heads}
    assert len(others) == len(calibration.heads)
    for name, head in calibration.heads.items():
        ours, theirs = (
            h(VALIDATION.embedding, VALIDATION.logits) for h in (head, loaded.heads[name])
        )
        np.testing.assert_array_equal(ours.novelty, theirs.novelty)
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_a_file_with_the_rules_earlier_names_keeps_their_meaning(
    calibration: Calibration, tmp_path: Path
) -> None:
    earlier = {AT_ACCEPTANCE: "gaussian_density", PAPER: "paper"}
    heads = {earlier.get(name, name): head for name, head in calibration.heads.items()}
    old = dataclasses.replace(calibration, heads=heads, chosen="gaussian_density")
    old.save(tmp_path / "old.npz")
    loaded = Calibration.load(tmp_path / "old.npz")
    assert loaded.chosen == AT_ACCEPTANCE
    assert loaded.heads[PAPER].threshold == pytest.approx(np.log(2))
    assert list(loaded.heads) == list(calibration.heads)


def test_a_rule_can_be_asked_for(calibration: Calibration) -> None:
    asked = calibrate(CORPUS, TRAIN, VALIDATION, activation="softmax", rule=PAPER)
    assert asked.chosen == PAPER != calibration.chosen
    assert asked.head.threshold == pytest.approx(np.log(2))
    with pytest.raises(UserError, match="rule 'joint_energy': is none of those of this run: gauss"):
        calibrate(CORPUS, TRAIN, VALIDATION, activation="softmax", rule="joint_energy")


def test_every_kind_of_rule_is_written_by_some_calibration() -> None:
    own = [
        calibrate(CORPUS, TRAIN, VALIDATION, activation=activation)
        for activation in get_args(Activation)
    ]
    made = [*own, calibrate_head(CORPUS, VALIDATION)]
    kinds = {head.rule.kind for calibration in made for head in calibration.heads.values()}
    assert kinds == set(RULES)


def test_the_same_windows_give_the_same_calibration(calibration: Calibration) -> None:
    again = calibrate(CORPUS, TRAIN, VALIDATION, activation="softmax")
    assert again.table == calibration.table


def test_calibration_refuses_what_it_must_not_see() -> None:
    with pytest.raises(UserError, match="test split"):
        calibrate(CORPUS, TRAIN, outputs(CORPUS, test=True), activation="softmax")


def test_calibration_needs_something_to_reject() -> None:
    known = VALIDATION.select(truth_of(CORPUS, VALIDATION).known)
    with pytest.raises(UserError, match="against nothing"):
        calibrate(CORPUS, TRAIN, known, activation="softmax")


def test_a_class_without_training_windows_is_named() -> None:
    train = TRAIN.select(truth_of(CORPUS, TRAIN).species != 3)
    with pytest.raises(UserError, match="known_3"):
        calibrate(CORPUS, train, VALIDATION, activation="softmax")


def test_a_species_the_system_was_not_taught_is_neither_known_nor_unknown() -> None:
    fewer = dataclasses.replace(
        VALIDATION, labels=VALIDATION.labels[:4], logits=VALIDATION.logits[:, :4]
    )
    truth = truth_of(CORPUS, fewer)
    assert set(truth.kind[truth.species < 0]) == {
        "species left out", "quiet windows", UNKNOWN, "noise: rain", "noise: speech", BACKGROUND,
    }  # fmt: skip
    assert truth.species.max() == 3


def test_a_file_that_is_no_calibration_is_named(tmp_path: Path) -> None:
    (tmp_path / "calibration.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(UserError, match=r"calibration\.npz"):
        Calibration.load(tmp_path / "calibration.npz")
    with pytest.raises(UserError, match="no such file"):
        Calibration.load(tmp_path / "other.npz")
