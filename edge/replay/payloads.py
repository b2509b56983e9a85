"""The frozen form of what only a replay gives: its windows, and what became of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from edge.provenance import Provenance
from edge.types import Outcome, Prediction
from edge.wire import DIGITS, animal_payload, scores_payload
from edge.wire_parts import probability_of

__all__ = ["recording_payload", "window_payload"]


def recording_payload(
    *,
    duration_s: float,
    header_s: float | None,
    missing_s: float,
    gap_s: float,
    judged_s: float,
    unjudged_s: Mapping[Literal["dead", "stuck", "short"], float],
) -> dict[str, Any]:
    """Return what became of a recording's audio, for the field `recording` of its detections."""
    return {
        "duration_s": round(duration_s, DIGITS),
        "header_s": None if header_s is None else round(header_s, DIGITS),
        "missing_s": round(missing_s, DIGITS),
        "gap_s": round(gap_s, DIGITS),
        "judged_s": round(judged_s, DIGITS),
        "unjudged_s": {reason: round(s, DIGITS) for reason, s in unjudged_s.items()},
    }


def window_payload(
    p: Prediction, *, file: str, outcome: Outcome | None, provenance: Provenance
) -> dict[str, Any]:
    """Return one window of a replay; its fields are frozen like those of a detection.

    `unjudged` says why the model was not asked, and is null where it was; else `outcome` is null.
    Where the bundle gives several labels at once, `labels` has all of them. A `probability` is that
    of an event of which this is the best window.
    """
    payload = {
        "file": file,
        "start_s": round(p.start_s, DIGITS),
        "end_s": round(p.end_s, DIGITS),
        "label": p.label,
        "outcome": outcome,
        "nearest": p.nearest,
        "score": round(p.score, DIGITS),
        **probability_of(p.label, p.score, provenance),
        "novelty": round(p.novelty, DIGITS),
        **animal_payload(p.animal),
        "top": scores_payload(p.top),
    }
    if provenance.several:
        payload["labels"] = scores_payload(p.accepted)
    payload["unjudged"] = "stuck" if p.health.stuck else "dead" if p.health.dead else None
    return payload
