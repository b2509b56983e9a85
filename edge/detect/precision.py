"""Which events are kept where a precision is asked for: those from their label's least score on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.bundle.precision import LeastScores
from edge.detect.model import Classifier
from edge.errors import ConfigError
from edge.types import Prediction

__all__ = ["PrecisionFilter", "describe", "least_scores"]

MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class PrecisionFilter:
    """Keeps events by the score of their best window, all of them where there are no `scores`.

    An event that is not kept is no event, also not that of an unknown, which is an animal that is
    none of the labels. `left_out` is told its label.
    """

    scores: LeastScores | None = None
    left_out: Callable[[str], None] = lambda label: None

    def keeps(self, peak: Prediction) -> bool:
        """Return whether an event with this best window is kept; unknown sounds always are."""
        if self.scores is None or peak.label is None:
            return True
        least = self.scores.least(peak.label)
        return least is not None and peak.score >= least

    def keeps_at_end(self, peak: Prediction) -> bool:
        """Return the same of an event that ends, and say so where it is left out."""
        kept = self.keeps(peak)
        if not kept and peak.label is not None:
            self.left_out(peak.label)
        return kept


def least_scores(model: Classifier, precision: float | None) -> LeastScores | None:
    """Return the least scores for a wanted precision; None where none is wanted.

    Raises `ConfigError` where the bundle has none for it.
    """
    if precision is None:
        return None
    manifest, calibration = model.bundle.manifest, model.decision.calibration
    found = {} if calibration is None else calibration.precisions
    if f"{precision:g}" in found:
        return found[f"{precision:g}"]
    if calibration is None and model.bundle.calibration is not None:
        reason = "bundles that judge together have no least scores for a precision"
        suggestion = "give one bundle"
    else:
        others = f", only for {', '.join(sorted(found))}" if found else ""
        reason = f"{manifest.name} has no least scores for this precision{others}"
        suggestion = f"edge-train thresholds {model.bundle.path} --precision {precision:g}"
        if calibration is None:
            suggestion = f"edge-train calibrate, then {suggestion}"
    raise ConfigError(reason, key="precision", value=precision, suggestion=suggestion)


def describe(scores: LeastScores, labels: Sequence[str]) -> str:
    """Return what becomes of the events of these labels, in one line."""
    known = set(labels)
    own, without = known & set(scores.own), known & set(scores.not_kept)
    others = len(known) - len(own) - len(without)
    parts = [f"{len(own)} labels have a least score of their own"]
    if others and scores.together is not None:
        parts.append(f"{others} with too little evidence one together, {scores.together.score:.3g}")
    elif others:
        parts.append(f"{others} with too little evidence give no events")
    if without:
        more = f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else ""
        named = ", ".join(sorted(without)[:MOST_NAMED])
        parts.append(f"{len(without)} never keep it and give no events: {named}{more}")
    return "; ".join(parts)
