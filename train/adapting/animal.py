"""Whether an animal stands out, for a head: its trunk's rule where it has one, else a new one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.bundle.animal import AnimalRule
from train.adapting.answers import Answers
from train.corpus.corpus import Corpus
from train.judging.animal import SHARE, NetworkOutputs, fit_animal, is_no_animal, threshold_at
from train.judging.animal_curves import measure_outcomes, outcomes_of
from train.judging.calibrate import groups_of
from train.judging.judged import Judged
from train.judging.truth import BACKGROUND, truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["animal_scores", "head_animal_rule", "outcomes_on"]


def head_animal_rule(
    trunk: Bundle, corpus: Corpus, answers: Answers, outputs: WindowOutputs
) -> AnimalRule | None:
    """Return the rule of a head on `trunk`, by the trunk's `answers` to windows that are no test's.

    `outputs` are the head's own for the same windows. The trunk's rule has heard more than one
    study's recordings: it is kept, and only made stricter where too much of this study's noise
    passes. Without one, or with too few windows, a new rule is fitted, or there is none.
    """
    kind = truth_of(corpus, outputs).kind
    rule = trunk.manifest.animal
    if rule is None:
        return fit_animal(_network_outputs(trunk, answers), kind, groups_of(corpus, outputs))
    score = animal_scores(rule, trunk, answers).astype(np.float64)
    noise = is_no_animal(kind) & (kind != BACKGROUND)
    if not noise.any():
        return rule
    stricter = threshold_at(score, kind, noise, share=SHARE)
    return dataclasses.replace(rule, threshold=max(rule.threshold, round(stricter, 4)))


def animal_scores(rule: AnimalRule, trunk: Bundle, answers: Answers) -> NDArray[np.float32]:
    """Return how surely an animal stands out in each window (W,)."""
    logits = answers.logits.astype(np.float32)
    return rule.score(answers.embedding, logits, trunk.heard_animals)


def outcomes_on(
    trunk: Bundle, rule: AnimalRule | None, answers: Answers, judged: Judged
) -> dict[str, Any]:
    """Return what windows become, as a part of the report; nothing without a rule.

    `answers` are the trunk's to the windows that the head has `judged`.
    """
    if rule is None:
        return {}
    score = animal_scores(rule, trunk, answers)
    return {"animal": measure_outcomes(outcomes_of(judged, score, rule.threshold))}


def _network_outputs(trunk: Bundle, answers: Answers) -> NetworkOutputs:
    """Return what the trunk says; it names an animal where one reaches its threshold."""
    logits = answers.logits.astype(np.float32)
    thresholds = trunk.label_thresholds
    named = np.zeros(len(logits), bool)
    if thresholds is not None:
        given = trunk.head.scores(logits) >= thresholds
        named = np.logical_or.reduce(given[:, trunk.heard_animals], axis=1)
    return NetworkOutputs(
        embedding=answers.embedding,
        logits=logits,
        animals=trunk.heard_animals,
        named=named,
    )
