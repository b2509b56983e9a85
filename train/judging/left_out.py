"""What stands in for unknown species and noise that a collection lacks, and how good it is.

Unknown species are its own, left out of a training in turn. Noise is synthesised, and what is heard
in the pauses of its recordings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.corpus.corpus import Corpus, recordist_key
from train.corpus.summary import markdown_table
from train.corpus.synthesised import without_recorded_noise
from train.judging.calibration import Calibration
from train.judging.contrasts import NOISES, UNKNOWNS, contrasts
from train.judging.judged import judge_recordings, judge_windows
from train.judging.metrics import OpenSet
from train.judging.truth import QUIET, Truth, truth_of
from train.windows.outputs import WindowOutputs

__all__ = [
    "Turn",
    "as_in_turns",
    "calibration_truth",
    "means_of_turns",
    "measure_turns",
    "render_stand_ins",
    "stand_ins",
]

PAUSES = "noise: pauses"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A training that never heard the species `left_out`, which are unknown in its `corpus`.

    Its windows are of training, validation and test; it had so many `steps`, 0 where it was made
    otherwise.
    """

    left_out: tuple[str, ...]
    steps: int
    corpus: Corpus
    train: WindowOutputs
    validation: WindowOutputs
    test: WindowOutputs

    @property
    def tells(self) -> bool:
        """Whether validation has windows of species that it learnt and of such as it did not."""
        truth = truth_of(self.corpus, self.validation)
        return bool(truth.known.any() and truth.unknown.any())


def calibration_truth(corpus: Corpus, outputs: WindowOutputs) -> Truth:
    """Return the truth by which a rule is chosen.

    Quiet windows are noise where nobody recorded any: they are what the microphone hears there.
    """
    truth = truth_of(corpus, outputs)
    if not without_recorded_noise(corpus.recordings):
        return truth
    return dataclasses.replace(truth, kind=np.where(truth.kind == QUIET, PAUSES, truth.kind))


def stand_ins(corpus: Corpus, turns: Sequence[Turn]) -> list[str]:
    """Return what the collection lacks and what was done about it, a sentence or two each."""
    found = []
    if without_recorded_noise(corpus.recordings):
        found.append(
            "The recordings have no noise and no background. Noise was synthesised (hiss, rain, "
            "wind, hum, voices), and the pauses of the recordings stand for background. Figures on "
            "noise are of synthesised sound: they say little about a place, and are too good. "
            "Folders noise and background beside the species make a better model."
        )
    if not corpus.of(role="unknown"):
        found.append(_unknown(turns))
    if not any(recordist_key(r.recordist) for r in corpus.of(role="known")):
        found.append(
            "Nobody is named as recordist, so each recording counts as another person's. Where one "
            "person or one microphone made several, all figures are too good."
        )
    return found


def _unknown(turns: Sequence[Turn]) -> str:
    if not turns:
        return (
            "The recordings have no unknown species, and none was left out in turn: how other "
            "species are rejected was not measured, and the rule was chosen on noise alone."
        )
    steps = turns[0].steps
    made = f"smaller trainings of {steps} steps, to" if steps else "heads on the same network, to"
    return (
        "The recordings have no unknown species. The rejection rule was chosen by leaving their "
        f"own species out in turn: {len(turns)} {made} "
        "each of which some species are unknown. Others may be easier or harder to reject. A "
        "folder unknown beside the species, of any others, makes a better model."
    )


def as_in_turns(
    rows: Sequence[Mapping[str, Any]], turns: Sequence[Calibration]
) -> list[dict[str, Any]]:
    """Return the rows with the mean numbers of the turns on unknown species.

    Their numbers on noise stay those of the network that is kept, as far as there is noise.
    """
    found = []
    for row in rows:
        own = [r for turn in turns for r in turn.table if r["rule"] == row["rule"]]
        keys = ("fpr95", f"auroc {UNKNOWNS}", f"rejected {UNKNOWNS}")
        seen = {**row, **{key: float(np.mean([r[key] for r in own])) for key in keys}}
        halves = [seen[key] for key in (f"auroc {UNKNOWNS}", f"auroc {NOISES}") if key in seen]
        found.append({**seen, "auroc": float(np.mean(halves))})
    return found


def measure_turns(
    turns: Sequence[Turn], calibrations: Sequence[Calibration], rule: str
) -> list[dict[str, Any]]:
    """Return a row per turn: its left-out species against those that it learnt, on the test split.

    `rule` is the one that was chosen; its numbers are those of the turn's own calibration.
    """
    return [_row(turn, own, rule) for turn, own in zip(turns, calibrations, strict=True)]


def _row(turn: Turn, calibration: Calibration, rule: str) -> dict[str, Any]:
    head = calibration.heads[rule]
    truth = truth_of(turn.corpus, turn.test)
    row: dict[str, Any] = {"left_out": list(turn.left_out)}
    judged = {
        "window": judge_windows(turn.test, truth, head),
        "recording": judge_recordings(turn.test, truth, head),
    }
    for level, some in judged.items():
        once = np.ones((1, len(some.recording)))
        weight = contrasts(some.truth).get(UNKNOWNS)
        if weight is not None and some.truth.known.any():
            curve = OpenSet(some.novelty, some.truth.known, some.closed == some.truth.species)
            row[f"auroc_per_{level}"] = round(float(curve.auroc(once * weight)[0]), 4)
    windows = judged["window"]
    for kind, mask in {"known": windows.truth.known, "left_out": windows.truth.unknown}.items():
        if mask.any():
            row[f"{kind}_accepted"] = round(float(windows.accepted[mask].mean()), 4)
    return row


COLUMNS = {
    "auroc_per_window": "AUROC per window",
    "auroc_per_recording": "AUROC per recording",
    "known_accepted": "known windows accepted",
    "left_out_accepted": "left-out windows accepted",
}


def means_of_turns(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each number over the turns that have it."""
    values = {key: [row[key] for row in rows if key in row] for key in COLUMNS}
    return {key: round(float(np.mean(v)), 4) if v else None for key, v in values.items()}


def render_stand_ins(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sections on what the collection lacks, empty where it lacks nothing."""
    notes = report.get("stand_ins") or ()
    parts = []
    if notes:
        parts = ["## What the recordings lack", "\n".join(f"- {note}" for note in notes)]
    if report.get("left_out"):
        rows = [
            *report["left_out"],
            {"left_out": ["**mean**"], **means_of_turns(report["left_out"])},
        ]
        cells = [
            [", ".join(row["left_out"]), *(_cell(row.get(key)) for key in COLUMNS)] for row in rows
        ]
        parts += [
            "## Species left out in turn",
            "Each turn's species against those that it learnt, on the test split, by the chosen "
            "rule.",
            markdown_table(("left out", *COLUMNS.values()), cells),
        ]
    return tuple(parts)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
