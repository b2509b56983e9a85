"""How likely labels are right where several heads decide, each on labels of its own.

Their scores are what they are alone, so that each label keeps the curve of who decides on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.bundle.precision import LeastScore, LeastScores
from edge.bundle.probability import Curve, Evidence, ScoreCalibration

__all__ = ["NO_EVENTS", "Calibrated", "joint_calibration"]

NO_EVENTS = Evidence(labels=(), label=(), score=(), right=())


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Who decides on the labels `names`, which are its own `labels`, in the same order."""

    calibration: ScoreCalibration | None
    labels: Sequence[str]
    names: Sequence[str]


def joint_calibration(parts: Sequence[Calibrated]) -> ScoreCalibration | None:
    """Return the curves of all labels; None where nobody has any.

    There are least scores for a precision that all have.
    """
    deciding = [part for part in parts if part.names]
    own: dict[str, Curve] = {}
    for part in deciding:
        if part.calibration is None:
            continue
        for label, name in zip(part.labels, part.names, strict=True):
            curve = part.calibration.own.get(label, part.calibration.shared)
            if curve is not None:
                own[name] = curve
    if not own:
        return None
    known = [part.calibration for part in deciding if part.calibration is not None]
    shared = set.intersection(*(set(c.precisions) for c in known)) if known else set()
    return ScoreCalibration(
        shared=None,
        own=own,
        basis=tuple(basis for c in known for basis in c.basis),
        evidence=NO_EVENTS,
        precisions={
            precision: _least(deciding, precision)
            for precision in sorted(shared)
            if len(known) == len(deciding)
        },
    )


def _least(parts: Sequence[Calibrated], precision: str) -> LeastScores:
    own: dict[str, LeastScore] = {}
    not_kept: list[str] = []
    for part in parts:
        assert part.calibration is not None
        scores = part.calibration.precisions[precision]
        for label, name in zip(part.labels, part.names, strict=True):
            least = None if label in scores.not_kept else scores.own.get(label, scores.together)
            if least is None:
                not_kept.append(name)
            else:
                own[name] = least
    return LeastScores(own=own, not_kept=tuple(not_kept), together=None)
