"""Whether an animal stands out: what the rule computes, and how a bundle carries it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.bundle.animal import FEATURES, AnimalRule, features_of
from edge.bundle.rules import MaxLogit
from edge.bundle.writing import write_head
from edge.errors import BundleError, SpecError
from edge.info import describe
from tests.edge.bundle.test_top import head_manifest, top_on
from tests.support.bundles import LABELS, choir_bundle
from tests.support.strangers import resealed

ENGINE = (dataclasses.replace(LABELS[0], kind="machine"), *LABELS[1:])
ANIMALS = np.array([False, True, True])
RULE = AnimalRule(weights={"best_animal": 1.0, "best_other": -0.5}, bias=2.0, threshold=0.6)


def test_the_score_is_its_formula() -> None:
    logits = np.array([[1, 2, -3], [-99, -99, -99], [0, 40, 1]], np.float32)
    embedding = np.array([[3, 4], [0, 0], [0, 2]], np.float32)
    features = features_of(logits, ANIMALS)
    assert set(features) == set(FEATURES)
    assert features["best_animal"].tolist() == [2, -20, 15]
    assert features["best_other"].tolist() == [1, -20, 0]
    np.testing.assert_allclose(features["all_animals"][0], np.log(np.exp(2) + np.exp(-3)), 1e-5)
    assert "best_other" not in features_of(logits, np.ones(3, bool))
    rule = dataclasses.replace(RULE, embedding=(0.5, -1.0))
    total = np.array([2 - 0.5 + 2 + 0.3 - 0.8, -20 + 10 + 2, 15 + 2 - 1.0])
    expected = 1 / (1 + np.exp(-total))
    np.testing.assert_allclose(rule.score(embedding, logits, ANIMALS), expected, 1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": {"loudest": 1.0}}, "'loudest' is none of the features"),
        ({"weights": {}}, "there are none"),
        ({"weights": {"best_animal": float("nan")}}, "not a finite number"),
        ({"bias": 1e9}, "not a finite number"),
        ({"threshold": 1.0}, "not above 0 and below 1"),
        ({"embedding": (float("inf"),)}, "not a finite number"),
    ],
)
def test_what_cannot_be_a_rule_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        dataclasses.replace(RULE, **change)


def test_a_bundle_carries_its_rule_and_one_without_is_as_before(tmp_path: Path) -> None:
    before = choir_bundle(tmp_path / "before", labels=LABELS[:3])
    assert "animal" not in before.manifest.as_mapping()
    assert before.manifest.format_version < 5
    assert before.animal_score(before.golden.embedding[None], before.golden.logits[None]) is None
    bundle = choir_bundle(tmp_path / "choir", labels=ENGINE, animal=RULE)
    assert bundle.manifest.format_version == 5
    again = load_bundle(bundle.path)
    assert again.manifest.animal == RULE
    logits = np.array([[1, 2, -3]], np.float32)
    score = again.animal_score(np.zeros((1, len(again.golden.embedding)), np.float32), logits)
    assert score is not None
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-3.5)), 1e-5)
    assert any("from 0.6 on" in line for line in describe(again))


def test_a_head_asks_what_its_trunk_hears(tmp_path: Path) -> None:
    trunk = choir_bundle(tmp_path / "choir", labels=ENGINE)
    manifest = head_manifest(trunk, animal=RULE)
    head = write_head(
        tmp_path / "study", manifest, trunk=trunk, top=top_on(trunk), rule=MaxLogit(), card="# S\n"
    )
    embedding, logits = trunk.golden.embedding[None], trunk.golden.logits[None]
    score = load_bundle(head.path).animal_score(embedding, logits)
    assert score == RULE.score(embedding, logits, ANIMALS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "animal: has the wrong type"),
        ({"bias": 0.0, "threshold": 0.5}, "key 'weights' is missing"),
        ({"weights": [1], "bias": 0.0, "threshold": 0.5}, "weights: has the wrong type"),
        ({"weights": {"best_animal": "x"}, "bias": 0.0, "threshold": 0.5}, "weights"),
        ({"weights": {"best_other": 1.0}, "bias": 0.0, "threshold": 0.5}, "best_other has no mean"),
        (
            {"weights": {}, "bias": 0.0, "threshold": 0.5, "embedding": [1.0]},
            "embedding: has 1 weights, and the network's has 12 dimensions",
        ),
        ({"weights": {}, "bias": 0.0, "threshold": 0.5, "embedding": "x"}, "must be a list"),
        ({"weights": {}, "bias": 0.0, "threshold": 0.5, "more": 1}, "unknown key 'more'"),
    ],
)
def test_a_strangers_rule_is_refused_in_one_line(tmp_path: Path, value: Any, reason: str) -> None:
    bundle = choir_bundle(tmp_path / "choir", animal=AnimalRule(**ONE))
    resealed(bundle.path, lambda manifest: manifest.update(animal=value))
    with pytest.raises(BundleError, match=reason) as caught:
        load_bundle(bundle.path)
    assert "manifest.json" in str(caught.value)
    assert "\n" not in str(caught.value)


ONE: dict[str, Any] = {"weights": {"best_animal": 1.0}, "bias": 0.0, "threshold": 0.5}
