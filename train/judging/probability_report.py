"""Probabilities in a report: how reliable they are, for people and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.probability import ScoreCalibration
from edge.files import replacing
from train.corpus.summary import markdown_table
from train.judging.events import Events
from train.judging.figures import new_figure
from train.judging.precision import wilson
from train.judging.probability import reliability

__all__ = [
    "draw_reliability",
    "measure_precisions",
    "measure_probability",
    "measured",
    "probabilities",
    "probability_parts",
    "thresholds_table",
]

PICTURE = "reliability.png"


def measure_probability(
    calibration: ScoreCalibration | None, events: Events, labels: Sequence[str]
) -> dict[str, Any] | None:
    """Return how reliable probabilities are on events; None where none of them has one.

    `score` is the same of the score, taken as a probability.
    """
    if calibration is None or not len(events):
        return None
    return measured(calibration, events, probabilities(calibration, events, labels))


def probabilities(
    calibration: ScoreCalibration, events: Events, labels: Sequence[str]
) -> NDArray[np.float64]:
    """Return the probability of each event (E,), NaN where there is none."""
    found = [
        calibration.probability(labels[k], score)
        for k, score in zip(events.label, events.score, strict=True)
    ]
    return np.array([np.nan if p is None else p for p in found], np.float64)


def measured(
    calibration: ScoreCalibration, events: Events, probability: NDArray[np.float64]
) -> dict[str, Any] | None:
    """Return how reliable the probabilities (E,) of events are, beside what they rest on."""
    sure = np.isfinite(probability)
    if not sure.any():
        return None
    kept = events.select(sure)
    basis = [
        {"recordings": b.recordings, "method": b.method, "events": b.events, "right": b.right}
        for b in calibration.basis
    ]
    return {
        **reliability(probability[sure], kept.right),
        "score": reliability(kept.score, kept.right)["expected_calibration_error"],
        "calibration": calibration.digest,
        "basis": basis,
        "own": sorted(calibration.own),
    }


def measure_precisions(
    calibration: ScoreCalibration, events: Events, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each precision with least scores how many events are kept, and are right."""
    rows = []
    for name, scores in sorted(calibration.precisions.items()):
        least = [scores.least(labels[k]) for k in events.label]
        kept = np.array(
            [
                score is not None and found >= score
                for score, found in zip(least, events.score, strict=True)
            ],
            bool,
        )
        right = int(events.right[kept].sum())
        low, high = wilson(right, int(kept.sum()))
        rows.append(
            {
                "precision": name,
                "events": int(kept.sum()),
                "right": right,
                "low": low,
                "high": high,
                "kept_of_right": right / max(int(events.right.sum()), 1),
            }
        )
    return rows


def probability_parts(measured: Mapping[str, Any] | None) -> list[str]:
    """Return the section of a report on probabilities; empty where there are none."""
    if measured is None:
        return []
    rows = [
        (
            f"{b['from']:.1f} to {b['to']:.1f}",
            b["events"],
            f"{b['probability']:.2f}",
            f"{b['right']:.2f}",
        )
        for b in measured["bins"]
    ]
    basis = "; ".join(
        f"{b['events']} events in {b['recordings']} ({b['method']}), of which {b['right']:.0%} "
        "are right"
        for b in measured["basis"]
    )
    return [
        "## Probabilities, per event",
        f"Expected calibration error **{measured['expected_calibration_error']:.3f}** on "
        f"{measured['events']} events of which {measured['right']:.0%} are right; the score "
        f"itself, taken for a probability, {measured['score']:.3f}. Calibration "
        f"`{measured['calibration'][:12]}`: {basis}. Labels with a curve of their own: "
        f"{len(measured['own'])}. It holds where as many events are right as there; elsewhere "
        "`edge-train calibrate --on` adds a site's own reviewed detections. An event is that of a "
        "recorder, and right where its recording has the label: an animal in the background that "
        "nobody noted counts as wrong.",
        markdown_table(("probability", "events", "mean", "share that is right"), rows),
        *_precisions(measured.get("precisions", ())),
    ]


def _precisions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how least scores for a precision do on these events; nothing without any."""
    if not rows:
        return []
    header = ("wanted precision", "events kept", "right, 95 % interval", "of all right ones")
    cells = [
        (
            row["precision"],
            row["events"],
            f"{row['right'] / max(row['events'], 1):.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            f"{row['kept_of_right']:.2f}",
        )
        for row in rows
    ]
    return ["From the least scores on that keep a precision:", markdown_table(header, cells)]


def thresholds_table(calibration: ScoreCalibration, precision: str) -> str:
    """Return the least scores for a precision, with the evidence for each."""
    scores = calibration.precisions[precision]
    named = [("labels with too few events, together", scores.together)] if scores.together else []
    rows = [
        (name, f"{s.score:.3f}", s.events, f"{s.right / s.events:.2f} [{s.low:.2f}, {s.high:.2f}]")
        for name, s in (*scores.own.items(), *named)
    ]
    parts = [markdown_table(("label", "least score", "events", "right, 95 % interval"), rows)]
    if scores.together is None:
        parts.append("Labels with too few events do not keep it together, and give none.")
    if scores.not_kept:
        parts.append(f"Never kept, so that there are no events: {', '.join(scores.not_kept)}.")
    return "\n\n".join(parts)


def draw_reliability(measured: Mapping[str, Any], out_dir: Path) -> None:
    """Write reliability.png into `out_dir`: the share that is right over the probability."""
    bins = measured["bins"]
    figure = new_figure(5.5, 5.5)
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    x = [b["probability"] for b in bins]
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.plot(x, [b["right"] for b in bins], marker="o", color="#1b7837")
    error = measured["expected_calibration_error"]
    axes.set(
        ylabel="share of events that is right",
        ylim=(0, 1),
        title=f"Reliability: expected calibration error {error:.3f}",
    )
    centres = [(b["from"] + b["to"]) / 2 for b in bins]
    counts.bar(centres, [b["events"] for b in bins], width=0.09, color="#999999")
    counts.set(xlabel="probability", ylabel="events", xlim=(0, 1))
    with replacing(out_dir / PICTURE) as staged:
        figure.savefig(staged, dpi=130)
