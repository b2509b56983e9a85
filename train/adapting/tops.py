"""The kinds of top, and which of them is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top
from edge.errors import UserError
from edge.extras import how_to_install
from train.adapting.changes import f1_of, judged_by
from train.adapting.fitting import fit_linear, one_thread
from train.adapting.held_out import Fit, fit_part, held_out_outputs
from train.adapting.hidden import fit_hidden
from train.adapting.leaving_out import turns_of
from train.adapting.study import Heard
from train.judging.calibrate_head import calibrate_head
from train.judging.calibration import Calibration
from train.judging.left_out import Turn
from train.windows.outputs import WindowOutputs

__all__ = ["BEST", "DEFAULT", "KINDS", "Fitted", "fit_kind", "fit_study"]

KINDS = ("linear", "hidden", "triplet")
BEST = "best"  # of those that can be made here
DEFAULT = "linear"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A top that was fitted to all that is not the test, with its calibration.

    `held_out` is what tops of the same kind say of each fold's windows that were fitted without it;
    the rule was chosen by it. `positions` are those of its windows among all. `turns` are
    heads that never heard some species, with their `calibrations`, where the study has no unknown
    ones. `table` has a row for each kind that was tried.
    """

    kind: str
    top: Top
    calibration: Calibration
    held_out: WindowOutputs
    positions: NDArray[np.int64]
    turns: tuple[Turn, ...]
    calibrations: tuple[Calibration, ...]
    table: tuple[Mapping[str, Any], ...]


def fit_study(heard: Heard, kind: str, *, acceptance: float, say: Callable[[str], None]) -> Fitted:
    """Return the top of a kind, or the best of all kinds, by folds that were held out."""
    found: list[Fitted] = []
    for name in _possible(kind):
        say(f"fitting: {name}")
        with one_thread():
            found.append(_fitted(heard, name, acceptance=acceptance))
    best = max(found, key=lambda fitted: _worth(fitted.table[0]))
    return replace(best, table=tuple(row for fitted in found for row in fitted.table))


def fit_kind(kind: str) -> Fit:
    """Return what fits a top of a kind; raises `UserError` where PyTorch is needed and missing."""
    match kind:
        case "linear":
            return fit_linear
        case "hidden":
            return fit_hidden
        case _:
            if not _torch():
                raise UserError(
                    "the head 'triplet' needs PyTorch", suggestion=how_to_install("train")
                )
            from train.adapting.metric import fit_triplet  # needs PyTorch

            return fit_triplet


def _possible(kind: str) -> tuple[str, ...]:
    if kind != BEST:
        return (kind,)
    return KINDS if _torch() else KINDS[:2]


def _torch() -> bool:
    return find_spec("torch") is not None and find_spec("pytorch_metric_learning") is not None


def _worth(row: Mapping[str, Any]) -> float:
    return float(row["macro_f1_per_recording"] + row["auroc"])


def _fitted(heard: Heard, kind: str, *, acceptance: float) -> Fitted:
    fit = fit_kind(kind)
    dev = heard.of(lambda r: r.split == "dev")
    top = fit_part(heard, fit, dev, complete=True)
    held_out, positions = held_out_outputs(heard, fit)
    turns = turns_of(heard, fit)
    options: dict[str, Any] = {"acceptance": acceptance, "extra": heard.blank.extra}
    own = tuple(calibrate_head(t.corpus, t.validation, **options) for t in turns)
    calibration = calibrate_head(heard.study.corpus, held_out, turns=own, **options)
    row = next(row for row in calibration.table if row["rule"] == calibration.chosen)
    judged = judged_by(heard, held_out, calibration.head)
    f1 = f1_of(judged, held_out.labels, held_out.labels)
    numbers = {
        "kind": kind,
        "macro_f1_per_recording": round(f1, 4),
        **{key: row[key] for key in ("auroc", "auroc unknown species", "fpr95") if key in row},
    }
    return Fitted(
        kind=kind,
        top=top,
        calibration=calibration,
        held_out=held_out,
        positions=positions,
        turns=turns,
        calibrations=own,
        table=(numbers,),
    )
