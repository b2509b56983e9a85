"""Pseudo labels: when a species calls in its training recordings, by a segmentation network.

BirdCLEF 2021, 2.4; system S5.

run/labels/<recording>-<sha256>.csv   one file per recording of a species, for people too
run/labels/README.md                  how to read them
run/labels.json                       the run that made them, and the thresholds

A line is a stretch of time steps with one state: label, start_s, end_s, state, score; `score` is
their mean. What is not listed is absent. Readings taken where the paper is silent: only the species
that a recording names, its own and those in the background, can be present; where the network is as
sure of another it is unsure, because the loss of whole windows calls it absent. And a recording in
which its own species is present nowhere is unsure of it everywhere: its author heard it, so the
network does not know where it is.
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

__all__ = ["LabelledStretch", "PseudoLabels", "find_stretches"]

COLUMNS = ("label", "start_s", "end_s", "state", "score")
State = Literal["present", "absent", "unsure"]
TARGETS: dict[str, float] = {"present": 1.0, "absent": 0.0, "unsure": math.nan}
README = """\
# Pseudo labels

What a network heard in each training recording of a species, and what the next training takes as
true. One CSV file per recording; a line is a stretch of time: `label`, `start_s` and `end_s` in
seconds, `state`, and `score`, the mean of the network's in it.

- `present`: the species calls here. `unsure`: this stretch is not learnt from. `absent`: it does
  not call here.
- **What is not listed is absent.** Recordings of other animals, noise and background have no file:
  none of the species is in them.
- Of a long recording only the first 90 s are listened to, and trained on.

A file that is here is not made again: delete it to have it made, or correct it by hand before
training begins.
"""
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class LabelledStretch:
    """A stretch of a recording in which a species is in one state, with its mean score."""

    label: str
    start_s: float
    end_s: float
    state: State
    score: float


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """The folder of pseudo labels of one training.

    `labels` are the species it learns, in the order of its logits.
    """

    folder: Path
    labels: tuple[str, ...]

    def path(self, recording: Recording) -> Path:
        """Return where the labels of a recording are."""
        name = re.sub(r"[^\w.-]+", "_", recording.recording)
        return self.folder / f"{name}-{recording.sha256[:12]}.csv"

    def write(self, recording: Recording, stretches: Sequence[LabelledStretch]) -> None:
        """Write one file, whole or not at all; raises OSError."""
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

    def read(self, recording: Recording) -> tuple[LabelledStretch, ...]:
        """Read what `write` wrote; raises `UserError` naming the line that a person spoilt."""
        return tuple(
            _stretch(row, self.labels) for row in read_table(self.path(recording), COLUMNS)
        )

    def targets(self, recording: Recording, spec: FrontendSpec, frames: int) -> dict[int, Array]:
        """Return (frames,) of each species listed, by its position.

        Values are 1 where it is present, 0 where absent, NaN where unsure.
        """
        times = frame_times(recording, spec, frames)
        targets: dict[int, Array] = {}
        for stretch in self.read(recording):
            position = self.labels.index(stretch.label)
            states = targets.setdefault(position, np.zeros(frames, np.float32))
            # The last frame's middle may be at the very end.
            end_s = stretch.end_s if stretch.end_s < recording.seconds else math.inf
            states[(times >= stretch.start_s) & (times < end_s)] = TARGETS[stretch.state]
        return targets

    def digest(self, recordings: Sequence[Recording]) -> str:
        """Return the sha256 of the files of `recordings`.

        A training that was interrupted goes on with these labels only.
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
) -> list[LabelledStretch]:
    """Return the lines of a recording's file, from scores (steps, K).

    It has all stretches of the species that the recording names, and of others what is unsure. A
    time step of the network is about a frame that is a multiple of `SCALE`, so it reaches half of
    that to both sides.
    """
    middles = np.arange(len(scores)) * SCALE / spec.frames_per_second
    scores = scores[middles < recording.seconds]  # of a looped recording, its first time
    borders = (np.arange(len(scores) + 1) - 0.5) * SCALE / spec.frames_per_second
    borders_s = np.clip(borders, 0, recording.seconds)
    named = {recording.label, *recording.secondary_labels}
    found = []
    for k, label in enumerate(labels):
        states = _states(scores[:, k], pseudo, named=label in named, own=label == recording.label)
        starts = np.flatnonzero(np.r_[True, states[1:] != states[:-1]])
        for start, end in zip(starts, np.r_[starts[1:], len(states)], strict=True):
            if label in named or states[start] != "absent":
                stretch = LabelledStretch(
                    label=label,
                    start_s=borders_s[start],
                    end_s=borders_s[end],
                    state=str(states[start]),  # type: ignore[arg-type]  # one of the three
                    score=float(scores[start:end, k].mean()),
                )
                found.append(stretch)
    return found


def _states(scores: Array, pseudo: PseudoSpec, *, named: bool, own: bool) -> NDArray[np.str_]:
    """Return the state of each step (steps,) of one species."""
    states = np.where(
        scores >= pseudo.present, "present", np.where(scores <= pseudo.absent, "absent", "unsure")
    )
    if not named:
        states[states == "present"] = "unsure"
    if own and not (states == "present").any():
        states[:] = "unsure"
    return states


def _stretch(row: Row, labels: Sequence[str]) -> LabelledStretch:
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
            raise row.fault(name, f"{row.cells[name]!r} is not a number") from None
    if not 0 <= numbers["start_s"] < numbers["end_s"] < math.inf:
        raise row.fault(
            "end_s", "a stretch starts at 0 or later and ends after its start; correct the numbers"
        )
    # The state is one of the three.
    return LabelledStretch(label=label, state=state, **numbers)  # type: ignore[arg-type]
