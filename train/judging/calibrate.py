"""Fit every rejection rule, and choose one on unknown species of validation, never of the test.

What a rule is lives in `edge.bundle.heads`; here are its numbers: class means from training
windows, spreads and thresholds from validation windows. Only active windows count as a species
(`train.judging.truth`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.animal import AnimalRule
from edge.bundle.heads import Activation, JointEnergy, Rule
from edge.errors import UserError, shown
from train.corpus.corpus import Corpus
from train.corpus.splits import group_of
from train.judging.animal import NetworkOutputs, fit_animal
from train.judging.calibration import Calibration
from train.judging.fitted_head import (
    head_at,
    macro_auroc,
    novelty_of,
    row_of,
    with_thresholds,
)
from train.judging.left_out import Turn, as_in_turns, calibration_truth
from train.judging.rules import PAPER, fit_blend, fit_rules, held_out_blend, held_out_gaussians
from train.judging.truth import BACKGROUND, UNKNOWN, Truth, truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["animal_rule", "calibrate", "calibrate_turn", "choose_rule", "groups_of"]

TIE = 1e-3  # of AUROC

Novelty = NDArray[np.float64]


def calibrate(
    corpus: Corpus,
    train: WindowOutputs,
    validation: WindowOutputs,
    *,
    activation: Activation,
    acceptance: float = 0.95,
    rule: str | None = None,
    seed: int = 0,
    turns: Sequence[Calibration] = (),
) -> Calibration:
    """Fit all rules and choose `rule`, or the one with the largest AUROC on validation.

    `train` and `validation` are windows of dev. The threshold of each rule lets `acceptance` of the
    known windows pass; only the paper's keeps its own. Where windows may carry several labels, each
    head has thresholds of these. With `turns`, each by `calibrate_turn`, AUROC on unknown species
    is their mean, and no blend is fitted. Raises `UserError` for nothing to fit.
    """
    truth = calibration_truth(corpus, validation)
    _refuse_unfit(corpus, train, validation, truth, acceptance)
    rules, held_out = _fit(
        corpus, train, validation, truth, activation=activation, seed=seed, blended=not turns
    )
    heads, rows = {}, []
    for name, fitted in rules.items():
        novelty = novelty_of(fitted, validation)
        head = head_at(name, fitted, novelty[truth.known], activation, acceptance)
        heads[name] = with_thresholds(head, corpus, validation)
        rows.append(row_of(name, heads[name], truth, validation, held_out.get(name, novelty)))
    if turns:
        rows = as_in_turns(rows, turns)
    return Calibration(
        labels=validation.labels,
        activation=activation,
        acceptance=acceptance,
        chosen=choose_rule(rows, rule),
        heads=heads,
        table=rows,
    )


def animal_rule(corpus: Corpus, validation: WindowOutputs) -> AnimalRule | None:
    """Return the rule by which an animal stands out, fitted to windows of validation.

    The labels of these outputs are all animals'. None where there is too little to learn it from.
    """
    outputs = NetworkOutputs.of_animals(validation)
    kind = calibration_truth(corpus, validation).kind
    return fit_animal(outputs, kind, groups_of(corpus, validation))


def calibrate_turn(turn: Turn, activation: Activation, acceptance: float) -> Calibration:
    """Calibrate a turn on its own validation, in which the species that it left out are unknown."""
    return calibrate(
        turn.corpus, turn.train, turn.validation, activation=activation, acceptance=acceptance
    )


def _fit(
    corpus: Corpus,
    train: WindowOutputs,
    validation: WindowOutputs,
    truth: Truth,
    *,
    activation: Activation,
    seed: int,
    blended: bool,
) -> tuple[dict[str, Rule], dict[str, Novelty]]:
    """Return every rule, and the novelty that rules fitted to validation give unseen windows (W,).

    The rules are ranked on the latter; logits and neighbours have nothing fitted to validation.
    """
    train_truth, groups = truth_of(corpus, train), groups_of(corpus, validation)
    rules: dict[str, Rule] = dict(fit_rules(train_truth, train, truth, validation, seed=seed))
    if activation == "sigmoid":
        rules[JointEnergy.kind] = JointEnergy()
    held_out = held_out_gaussians(train_truth, train, truth, validation, groups)
    if not blended:
        return rules, held_out
    chosen = _blend_members(rules, truth, validation)
    members = {name: rule for name, rule in rules.items() if name in chosen}
    rules["blend"] = fit_blend(members, truth, validation)
    held_out["blend"] = held_out_blend(members, truth, validation, groups)
    return rules, held_out


def choose_rule(rows: Sequence[Mapping[str, Any]], wanted: str | None = None) -> str:
    """Return the rule with the largest AUROC; of those within `TIE` of it, the smallest FPR.

    The paper's own threshold is taken only where it is `wanted`. Raises `UserError` for a rule that
    there is not.
    """
    names = [str(row["rule"]) for row in rows]
    if wanted is not None:
        if wanted not in names:
            raise UserError(
                f"rule {shown(wanted)}: is none of those of this run: {', '.join(names)}"
            )
        return wanted
    eligible = [row for row in rows if row["rule"] != PAPER]
    best = max(row["auroc"] for row in eligible)
    tied = [row for row in eligible if row["auroc"] >= best - TIE]
    return str(min(tied, key=lambda row: row["fpr95"])["rule"])


def _blend_members(rules: Mapping[str, Rule], truth: Truth, validation: WindowOutputs) -> set[str]:
    """Return the names of rules that see different things.

    They are the best of the neighbours, the class's own tail, and the logits.
    """
    neighbours = [name for name in rules if name.startswith("knn")]
    best = max(
        neighbours, key=lambda name: macro_auroc(novelty_of(rules[name], validation), truth)[0]
    )
    return {best, "gaussian_tail", "max_logit", "energy"}


def groups_of(corpus: Corpus, outputs: WindowOutputs) -> NDArray[np.str_]:
    """Return the group of each window (W,), which must not be in two parts of a cross-validation.

    A group is an unknown species, else a recordist or a recording.
    """
    names = [
        f"species {r.label}" if r.role == "unknown" else group_of(r) for r in corpus.recordings
    ]
    return np.array(names, np.str_)[outputs.recording]


def _refuse_unfit(
    corpus: Corpus,
    train: WindowOutputs,
    validation: WindowOutputs,
    truth: Truth,
    acceptance: float,
) -> None:
    if not 0 < acceptance < 1:
        raise UserError(f"acceptance {acceptance}: needs a share between 0 and 1")
    if train.labels != validation.labels:
        raise UserError(
            "training and validation outputs have different labels; run 'edge-train fit' again"
        )
    for outputs in (train, validation):
        splits = {corpus.recordings[i].split for i in np.unique(outputs.recording)}
        if "test" in splits:
            raise UserError("calibration was given windows of the test split; it may only see dev")
    if not truth.known.any():
        raise UserError(
            "validation has no known windows: prepare with other folds, or give more recordings"
        )
    if not (truth.unknown.any() or truth.noise.any()):
        raise UserError(
            f"validation has no {UNKNOWN}, noise or {BACKGROUND}: a rejection rule cannot be "
            "chosen against nothing; 'edge-train prepare' synthesises noise where there is none"
        )
