"""The rule of a head on a trunk: its own logits, and what the trunk says of everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.bundle.heads import Activation, Column, Energy, Head, MaxLogit, Rule
from train.corpus.corpus import Corpus
from train.judging.calibrate import choose_rule, groups_of
from train.judging.calibration import Calibration
from train.judging.fitted_head import head_at, novelty_of, row_of
from train.judging.left_out import as_in_turns
from train.judging.rules import fit_blend, held_out_blend
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["ACTIVATION", "calibrate_head"]

ACTIVATION: Activation = "softmax_other"
COLUMNS = ("trunk margin", "trunk logit", "trunk sounds")  # as `edge.bundle.top` has them


def calibrate_head(
    corpus: Corpus,
    validation: WindowOutputs,
    *,
    acceptance: float = 0.95,
    turns: Sequence[Calibration] = (),
    extra: int = 2,
) -> Calibration:
    """Fit every rule to windows of the validation fold, and choose one.

    The `extra` last values of their embeddings are the trunk's (`edge.bundle.top`). Each rule's
    threshold lets `acceptance` of the known windows pass. A blend is ranked by weights that were
    fitted without the window's group. There must be known windows, and outliers. With `turns`,
    which left species out, the numbers on unknown species are theirs, and there is no blend.
    """
    truth, rules = truth_of(corpus, validation), _rules(validation.embedding.shape[1], extra)
    members, held_out = dict(rules), None
    if not turns:
        rules["blend"] = fit_blend(members, truth, validation)
        held_out = held_out_blend(members, truth, validation, groups_of(corpus, validation))
    heads: dict[str, Head] = {}
    rows: list[dict[str, Any]] = []
    for name, rule in rules.items():
        own = novelty_of(rule, validation)
        heads[name] = head_at(name, rule, own[truth.known], ACTIVATION, acceptance)
        ranked = held_out if name == "blend" and held_out is not None else own
        rows.append(row_of(name, heads[name], truth, validation, ranked))
    rows = as_in_turns(rows, turns) if turns else rows
    return Calibration(
        labels=validation.labels,
        activation=ACTIVATION,
        acceptance=acceptance,
        chosen=choose_rule(rows),
        heads=heads,
        table=rows,
    )


def _rules(dimensions: int, extra: int) -> dict[str, Rule]:
    first = dimensions - extra
    rules: dict[str, Rule] = {"max_logit": MaxLogit(), "energy": Energy()}
    columns = zip(COLUMNS, range(first, dimensions), strict=False)
    return rules | {name: Column(index=index) for name, index in columns}
