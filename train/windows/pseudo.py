"""Pseudo labels: what a segmentation network says is heard when in the recordings it is trained on
(BirdCLEF 2021, 2.4; system S5).

run/labels/<recording>-<sha256>.csv   one file per recording of a species, for people too: label, start_s, end_s, state, score
run/labels/README.md                  how to read them
run/labels.json                       the run that made them, and the thresholds

A line is a stretch of time steps with one state; `score` is their mean. What is not listed is
absent. Readings taken where the paper is silent: only the species that a recording names, its own
and those in the background, can be present; where the network is as sure of another it is unsure,
for the loss of whole windows calls it absent. And a recording in which its own species is present
nowhere is unsure of it everywhere: its author heard it, so the network does not know where it is.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.bundle.spec import FrontendSpec
from edge.files import write_whole
from train.corpus.corpus import Recording
from train.corpus.tables import Row, read_table
from train.networks.segmentation import SCALE
from train.recipe.sections import PseudoSpec
from train.windows.frames import frame_times

__all__ = ["SCALE", "Heard", "PseudoLabels", "find_stretches"]

COLUMNS = ("label", "start_s", "end_s", "state", "score")
State = Literal["present", "absent", "unsure"]
TARGETS: dict[str, float] = {"present": 1.0, "absent": 0.0, "unsure": math.nan}
README = """\
# Pseudo labels

What a network heard in each training recording of a species, and what the next training takes as true. One CSV file per recording;
a line is a stretch of time: `label`, `start_s` and `end_s` in seconds, `state`, and `score`, the mean of the network's in it.

- `present`: the species calls here. `unsure`: this stretch is not learnt from. `absent`: it does not call here.
- **What is not listed is absent.** Recordings of other animals, noise and background have no file: none of the species is in them.
- Of a long recording only the first 90 s are listened to, and trained on.

A file that is here is not made again: delete it to have it made, or correct it by hand before training begins.
"""
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A stretch of a recording in which a species is in one state, with its mean score."""

    label: str
    start_s: float
    end_s: float
    state: State
    score: float


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """The folder of pseudo labels of one training; `labels` are the species it learns, in the order
    of its logits.
    """

    folder: Path
    labels: tuple[str, ...]

    def path(self, recording: Recording) -> Path:
        """Where those of a recording are."""
        name = re.sub(r"[^\w.-]+", "_", recording.recording)
        return self.folder / f"{name}-{recording.sha256[:12]}.csv"

    def write(self, recording: Recording, stretches: Sequence[Heard]) -> None:
        """Write one file, whole or not at all."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for s in stretches:
            writer.writerow(
                [s.label, f"{s.start_s:.3f}", f"{s.end_s:.3f}", s.state, f"{s.score:.3f}"]
            )
        write_whole(self.path(recording), table.getvalue())

    def explain(self) -> None:
        """Write the README of the folder."""
        write_whole(self.folder / "README.md", README)

    def read(self, recording: Recording) -> tuple[Heard, ...]:
        """The inverse of `write`; what a person spoilt in between is one line that names it."""
        return tuple(_heard(row, self.labels) for row in read_table(self.path(recording), COLUMNS))

    def targets(self, recording: Recording, spec: FrontendSpec, frames: int) -> dict[int, Array]:
        """Of each species listed, by its position: (frames,) 1 where present, 0 where absent, NaN
        where unsure.
        """
        times = frame_times(recording, spec, frames)
        targets: dict[int, Array] = {}
        for heard in self.read(recording):
            states = targets.setdefault(
                self.labels.index(heard.label), np.zeros(frames, np.float32)
            )
            # the last frame's middle may be at the very end
            ends = times < heard.end_s if heard.end_s < recording.seconds else np.ones(frames, bool)
            states[(times >= heard.start_s) & ends] = TARGETS[heard.state]
        return targets

    def digest(self, recordings: Sequence[Recording]) -> str:
        """sha256 of the files of `recordings`: a training that was interrupted goes on with these
        labels only.
        """
        whole = hashlib.sha256()
        for path in sorted(self.path(r) for r in recordings):
            whole.update(path.read_bytes())
        return whole.hexdigest()


def find_stretches(
    scores: Array,
    recording: Recording,
    *,
    labels: Sequence[str],
    spec: FrontendSpec,
    pseudo: PseudoSpec,
) -> list[Heard]:
    """The lines of a recording's file, from scores (steps, K): all of the species it names, of
    others what is unsure.

    A step of the network is about a frame that is a multiple of `SCALE`, so it reaches half of that
    to both sides.
    """
    middles = np.arange(len(scores)) * SCALE / spec.frames_per_second
    scores = scores[middles < recording.seconds]  # of a looped recording, its first time
    borders = np.clip(
        (np.arange(len(scores) + 1) - 0.5) * SCALE / spec.frames_per_second, 0, recording.seconds
    )
    named = {recording.label, *recording.secondary_labels}
    found = []
    for k, label in enumerate(labels):
        states = _states(scores[:, k], pseudo, named=label in named, own=label == recording.label)
        starts = np.flatnonzero(np.r_[True, states[1:] != states[:-1]])
        for start, end in zip(starts, np.r_[starts[1:], len(states)], strict=True):
            if label in named or states[start] != "absent":
                mean, state = float(scores[start:end, k].mean()), str(states[start])
                heard = Heard(
                    label=label,
                    start_s=borders[start],
                    end_s=borders[end],
                    state=state,  # type: ignore[arg-type]
                    score=mean,
                )  # one of the three
                found.append(heard)
    return found


def _states(scores: Array, pseudo: PseudoSpec, *, named: bool, own: bool) -> NDArray[np.str_]:
    """State of each step (steps,) of one species."""
    states = np.where(
        scores >= pseudo.present, "present", np.where(scores <= pseudo.absent, "absent", "unsure")
    )
    if not named:
        states[states == "present"] = "unsure"
    if own and not (states == "present").any():
        states[:] = "unsure"
    return states


def _heard(row: Row, labels: Sequence[str]) -> Heard:
    label, state = row.cells["label"], row.cells["state"]
    if label not in labels:
        raise row.fault(
            "label",
            f"{label!r} is none of the species that are trained; correct or remove the line",
        )
    if state not in TARGETS:
        raise row.fault("state", f"{state!r} is none of {', '.join(TARGETS)}")
    numbers = {}
    for name in ("start_s", "end_s", "score"):
        try:
            numbers[name] = float(row.cells[name])
        except ValueError:
            raise row.fault(name, f"{row.cells[name]!r} is no number") from None
    if not 0 <= numbers["start_s"] < numbers["end_s"] < math.inf:
        raise row.fault(
            "end_s", "a stretch starts at 0 or later and ends after its start; correct the numbers"
        )
    return Heard(label=label, state=state, **numbers)  # type: ignore[arg-type]  # one of the three
