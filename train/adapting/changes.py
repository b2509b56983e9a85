"""A head before and after it was taught something, on the same recordings, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FP32, Bundle
from edge.bundle.heads import Head
from edge.bundle.top import Top
from edge.errors import UserError
from train.adapting.study import Heard
from train.judging.judged import Judged, judge_recordings, judge_windows
from train.judging.metrics import macro_f1
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["Decision", "before_and_after", "decision_of", "f1_of", "judged_by"]

Decision = tuple[Top, Head, Sequence[str]]  # and the labels


def decision_of(head: Bundle) -> Decision:
    """Return the top, the decision and the labels of a head; raises `UserError` for no head."""
    network = head.networks[FP32]
    if network.top is None:
        raise UserError(f"{head.path}: is no head on another bundle's network")
    return network.top, network.head, [label.label for label in head.labels]


def judged_by(heard: Heard, outputs: WindowOutputs, head: Head) -> Judged:
    """Return what a head says of recordings, beside what they are."""
    return judge_recordings(outputs, truth_of(heard.study.corpus, outputs), head)


def f1_of(judged: Judged, labels: Sequence[str], wanted: Sequence[str]) -> float:
    """Return the macro F1 per recording over the `wanted` labels, without rejection."""
    positions = [labels.index(name) for name in wanted]
    known = np.isin(judged.truth.species, positions)
    truth, closed = judged.truth.species[known], judged.closed[known]
    # A name that is not among the wanted is wrong, whatever it is.
    closed = np.where(np.isin(closed, positions), closed, -1)
    once = np.ones((1, int(known.sum())))
    return float(macro_f1(truth, closed, once, classes=len(labels))[0])


def before_and_after(
    heard: Heard, *, before: Decision, after: Decision
) -> tuple[str, dict[str, Any]]:
    """Return a sentence and the figures of two heads on the study's test recordings.

    Each is a top with its decision and its labels; the figures are of the labels of `before`.
    """
    test = heard.of(lambda r: r.split == "test")
    wanted = list(before[2])
    figures: dict[str, Any] = {}
    for name, (top, head, labels) in (("before", before), ("after", after)):
        outputs = heard.outputs(test, top, labels)
        truth = truth_of(heard.study.corpus, outputs)
        windows = judge_windows(outputs, truth, head)
        recordings = judge_recordings(outputs, truth, head)
        others = truth.unknown | truth.noise
        figures[name] = {
            "macro_f1": round(f1_of(recordings, list(labels), wanted), 4),
            "known_accepted": _share(windows.accepted, truth.known),
            "others_accepted": _share(windows.accepted, others),
        }
    counted = int(np.isin(recordings.truth.species, range(len(after[2]))).sum())
    old, new = figures["before"], figures["after"]
    sentence = (
        f"On the {counted} test recordings of known species, which neither head has heard: "
        f"macro F1 of the {len(wanted)} labels that were there {old['macro_f1']:.3f} before, "
        f"{new['macro_f1']:.3f} after; windows accepted: known "
        f"{_text(old['known_accepted'])} and {_text(new['known_accepted'])}, all others "
        f"{_text(old['others_accepted'])} and {_text(new['others_accepted'])}."
    )
    return sentence, figures


def _share(accepted: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float | None:
    return round(float(accepted[mask].mean()), 4) if mask.any() else None


def _text(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}"
