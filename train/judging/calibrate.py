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
from edge.bundle.heads import Activation, Head, Rule
from edge.errors import UserError
from train.corpus.corpus import Corpus
from train.corpus.splits import group_of
from train.judging.animal import NetworkOutputs, fit_animal
from train.judging.calibration import Calibration
from train.judging.contrasts import NOISES
from train.judging.left_out import Turn, as_in_turns, calibration_truth
from train.judging.metrics import OpenSet, macro_f1
from train.judging.rules import PAPER, fit_blend, fit_rules, held_out_blend, held_out_gaussians
from train.judging.truth import BACKGROUND, UNKNOWN, Truth, truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["animal_rule", "calibrate", "calibrate_turn", "choose_rule", "macro_auroc"]

PAPER_THRESHOLD = -float(np.log(0.5))  # the paper rejects when the density is below 0.5
TIE = 1e-3  # of AUROC

Novelty = NDArray[np.float64]


def calibrate(
    corpus: Corpus,
    train: WindowOutputs,
    validation: WindowOutputs,
    *,
    activation: Activation,
    acceptance: float = 0.95,
    seed: int = 0,
    turns: Sequence[Calibration] = (),
) -> Calibration:
    """Fit all rules and choose the one with the largest AUROC on validation.

    `train` and `validation` are windows of dev. The threshold of each rule lets `acceptance` of the
    known validation windows pass; only the paper's rule keeps its own. With `turns`, each by
    `calibrate_turn`, AUROC on unknown species is their mean, and no blend is fitted. Raises
    `UserError` for nothing to fit.
    """
    if not 0 < acceptance < 1:
        raise UserError(f"acceptance {acceptance}: needs a share between 0 and 1")
    if train.labels != validation.labels:
        raise UserError(
            "training and validation outputs have different labels; run 'edge-train fit' again"
        )
    truth = calibration_truth(corpus, validation)
    _refuse_unfit(corpus, train, validation, truth)
    rules, held_out = _fit(corpus, train, validation, truth, seed=seed, blended=not turns)
    heads, rows = {}, []
    for name, rule in rules.items():
        novelty = novelty_of(rule, validation)
        heads[name] = head_at(name, rule, novelty[truth.known], activation, acceptance)
        rows.append(row_of(name, heads[name], truth, validation, held_out.get(name, novelty)))
    rows = as_in_turns(rows, turns) if turns else rows
    return Calibration(
        labels=validation.labels,
        activation=activation,
        acceptance=acceptance,
        chosen=choose_rule(rows),
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
    seed: int,
    blended: bool,
) -> tuple[dict[str, Rule], dict[str, Novelty]]:
    """Return every rule, and the novelty that rules fitted to validation give unseen windows (W,).

    The rules are ranked on the latter; logits and neighbours have nothing fitted to validation.
    """
    train_truth, groups = truth_of(corpus, train), groups_of(corpus, validation)
    rules: dict[str, Rule] = dict(fit_rules(train_truth, train, truth, validation, seed=seed))
    held_out = held_out_gaussians(train_truth, train, truth, validation, groups)
    if not blended:
        return rules, held_out
    chosen = _blend_members(rules, truth, validation)
    members = {name: rule for name, rule in rules.items() if name in chosen}
    rules["blend"] = fit_blend(members, truth, validation)
    held_out["blend"] = held_out_blend(members, truth, validation, groups)
    return rules, held_out


def choose_rule(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rule with the largest AUROC; of those within `TIE` of it, the smallest FPR.

    The paper's own threshold is never chosen.
    """
    eligible = [row for row in rows if row["rule"] != PAPER]
    best = max(row["auroc"] for row in eligible)
    tied = [row for row in eligible if row["auroc"] >= best - TIE]
    return str(min(tied, key=lambda row: row["fpr95"])["rule"])


def macro_auroc(novelty: NDArray[Any], truth: Truth) -> tuple[float, float]:
    """Return AUROC and FPR95 of knowns against outliers.

    Half of it is of unknown species, half the mean over the kinds of noise and background.
    """
    auroc, fpr = np.mean(list(_halves(novelty, truth).values()), axis=0)
    return float(auroc), float(fpr)


def _halves(novelty: NDArray[Any], truth: Truth) -> dict[str, NDArray[np.float64]]:
    """Return (AUROC, FPR95) against unknown species and against noise, of those that there are."""
    kinds = {UNKNOWN: truth.kind[truth.unknown], NOISES: truth.kind[truth.noise]}
    return {
        name: np.mean(
            [_against(novelty, truth, truth.kind == kind) for kind in np.unique(found)], axis=0
        )
        for name, found in kinds.items()
        if len(found)
    }


def _against(
    novelty: NDArray[Any], truth: Truth, outliers: NDArray[np.bool_]
) -> tuple[float, float]:
    chosen = truth.known | outliers
    open_set = OpenSet(
        novelty[chosen].astype(np.float64), truth.known[chosen], np.zeros(chosen.sum(), bool)
    )
    once = np.ones((1, int(chosen.sum())))
    numbers = open_set.numbers(once)
    return float(numbers["auroc"][0]), float(numbers["fpr95"][0])


def row_of(
    name: str, head: Head, truth: Truth, outputs: WindowOutputs, novelty: NDArray[Any]
) -> dict[str, Any]:
    auroc, fpr = macro_auroc(novelty, truth)
    accepted = novelty_of(head.rule, outputs) <= head.threshold
    predicted = np.where(accepted, outputs.logits.argmax(1), -1)
    counted = truth.known | truth.unknown | truth.noise
    once = np.ones((1, counted.sum()))
    classes = len(outputs.labels)
    f1 = macro_f1(truth.species[counted], predicted[counted], once, classes=classes)
    kinds = {UNKNOWN: truth.unknown, NOISES: truth.noise}
    halves = {f"auroc {kind}": float(half[0]) for kind, half in _halves(novelty, truth).items()}
    rejected = {
        f"rejected {kind}": round(float(np.mean(~accepted[mask])), 4)
        for kind, mask in kinds.items()
        if mask.any()
    }
    return {
        "rule": name,
        "auroc": auroc,
        "fpr95": fpr,
        "acceptance": float(accepted[truth.known].mean()),
        "macro_f1": float(f1[0]),
        **halves,
        **rejected,
    }


def head_at(
    name: str, rule: Rule, known: NDArray[Any], activation: Activation, acceptance: float
) -> Head:
    # "higher": at least `acceptance` of the knowns pass, whatever the number of windows
    threshold = (
        PAPER_THRESHOLD if name == PAPER else float(np.quantile(known, acceptance, method="higher"))
    )
    scale = max(float(known.std()), 1e-6)
    return Head(activation=activation, rule=rule, threshold=threshold, scale=scale)


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


def novelty_of(rule: Rule, outputs: WindowOutputs) -> Novelty:
    return np.asarray(rule.novelty(outputs.embedding, outputs.logits), np.float64)


def _refuse_unfit(
    corpus: Corpus, train: WindowOutputs, validation: WindowOutputs, truth: Truth
) -> None:
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
