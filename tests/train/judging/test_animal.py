"""The rule by which an animal stands out: what is learnt, where the threshold is, what is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from train.judging.animal import (
    SHARE,
    NetworkOutputs,
    fit_animal,
    is_animal_noise,
    is_no_animal,
    share_of_kinds,
    threshold_at,
)
from train.judging.animal_curves import Outcomes, measure_outcomes, outcomes_section

ANIMALS = np.array([True, True, True, False])
EACH = 60


def windows(*kinds: tuple[str, float, float]) -> tuple[NetworkOutputs, NDArray[np.str_]]:
    """Windows of kinds, with the mean best logit of an animal and of anything else."""
    rng = np.random.default_rng(0)
    logits = np.concatenate(
        [
            np.column_stack(
                [
                    animal + rng.standard_normal((EACH, 1)),
                    np.full((EACH, 2), -9.0),
                    other + rng.standard_normal((EACH, 1)),
                ]
            )
            for _, animal, other in kinds
        ]
    ).astype(np.float32)
    outputs = NetworkOutputs(
        embedding=rng.standard_normal((len(logits), 5)).astype(np.float32),
        logits=logits,
        animals=ANIMALS,
        named=logits[:, :3].max(1) > 0,
    )
    return outputs, np.repeat([name for name, *_ in kinds], EACH)


MIXED = (
    ("known species", 3.0, -8.0),
    ("unknown species", 1.0, -8.0),
    ("noise: rain", -4.0, -3.0),
    ("noise: speech", -5.0, 1.0),
    ("noise: dog bark", 2.0, -6.0),
    ("background", -4.0, -5.0),
    ("quiet windows", -2.0, -7.0),
)


def groups(kind: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array([f"{name}{i % 10}" for i, name in enumerate(kind)])


def test_a_network_that_knows_other_sounds_is_asked_for_two_features() -> None:
    outputs, kind = windows(*MIXED)
    rule = fit_animal(outputs, kind, groups(kind))
    assert rule is not None
    assert list(rule.weights) == ["best_animal", "best_other"]
    assert rule.weights["best_animal"] > 0 > rule.weights["best_other"]
    assert rule.embedding == ()
    score = rule.score(outputs.embedding, outputs.logits, ANIMALS).astype(float)
    noise = is_no_animal(kind) & (kind != "background")
    assert share_of_kinds(score >= rule.threshold, kind, noise) <= SHARE + 0.01
    assert (score >= rule.threshold)[kind == "unknown species"].mean() > 0.9
    # A dog is an animal, whatever folder it lies in.
    assert (score >= rule.threshold)[kind == "noise: dog bark"].mean() > 0.9


def test_one_that_knows_animals_only_may_look_at_the_embedding() -> None:
    outputs, kind = windows(*MIXED)
    heard = np.isin(kind, ["known species", "unknown species"])
    embedding = outputs.embedding.copy()
    embedding[:, 0] += np.where(heard, 3, -3)
    blind = dataclasses.replace(
        outputs,
        embedding=embedding,
        logits=np.zeros((len(kind), 3), np.float32),
        animals=np.ones(3, bool),
        named=np.zeros(len(kind), bool),
    )
    rule = fit_animal(blind, kind, groups(kind))
    assert rule is not None
    assert len(rule.embedding) == 5
    assert np.argmax(np.abs(rule.embedding)) == 0
    score = rule.score(embedding, blind.logits, blind.animals)
    assert score[heard].min() > score[kind == "noise: rain"].mean()
    assert score[kind == "quiet windows"].mean() < 0.5


def test_too_few_windows_make_no_rule() -> None:
    outputs, kind = windows(("known species", 3.0, -8.0), ("noise: dog bark", 2.0, -6.0))
    assert fit_animal(outputs, kind, groups(kind)) is None


@given(st.lists(st.floats(0, 1, width=16), min_size=4, max_size=60), st.floats(0, 0.5))
def test_no_more_than_the_share_reaches_the_threshold(scores: list[float], share: float) -> None:
    score = np.array(scores)
    kind = np.array(["noise: rain", "noise: wind"] * len(scores))[: len(scores)]
    counted = np.ones(len(scores), bool)
    threshold = threshold_at(score, kind, counted, share=share)
    inner = (score > 2e-4) & (score < 1 - 2e-4)  # a threshold is within 0..1
    assert share_of_kinds((score > threshold) & inner, kind, counted) <= share + 1e-9


@pytest.mark.parametrize(
    ("kind", "animal"),
    [
        ("noise: dog bark", True),
        ("noise: farm_animals", True),
        ("noise: rooster", True),
        ("noise: field, no birds", False),
        ("noise: wind", False),
        ("background", False),
    ],
)
def test_what_is_recorded_as_noise_may_be_an_animal(kind: str, animal: bool) -> None:
    assert is_animal_noise(kind) == animal


def test_curves_count_each_window_once() -> None:
    kind = np.array(["unknown species"] * 4 + ["noise: rain"] * 4 + ["background"] * 2)
    outcomes = Outcomes(
        kind=kind,
        named=np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 0], bool),
        right=np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], bool),
        other=np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], bool),
        animal=np.array([0.9, 0.9, 0.7, 0.1, 0.9, 0.9, 0.2, 0.1, 0.9, 0.1]),
        threshold=0.6,
    )
    measured = measure_outcomes(outcomes)
    species = {
        "windows": 4,
        "right": 0.25,
        "wrong": 0.25,
        "other": 0.0,
        "unknown": 0.25,
        "nothing": 0.25,
    }
    assert measured["kinds"]["unknown species"] == species
    (point,) = (p for p in measured["curves"] if p["threshold"] == 0.6)
    assert point == {
        "threshold": 0.6,
        "noise": 0.25,
        "worst_noise": 0.25,
        "background": 0.5,
        "unknown_species": 0.5,
    }
    text = "\n".join(outcomes_section({"animal": measured}))
    assert "| **0.6** | **0.25** | **0.25** | **0.5** | **0.5** |" in text
    assert outcomes_section({}) == outcomes_section({"animal": None}) == []
