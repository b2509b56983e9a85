"""A few clips of a species that a head is to learn, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.bundle.labels import check_label
from edge.errors import SpecError, UserError
from edge.terminal import printable
from train.adapting.gathering import SHORTEST_S
from train.adapting.marks import Marks, Stretches, key_of
from train.adapting.study import Study
from train.corpus.corpus import Recording
from train.corpus.quality import Checked, check_files

__all__ = ["FOLDS", "MOST_CLIPS", "NewSpecies", "check_new", "usable_clips", "with_clips"]

MOST_CLIPS = 50  # of more, make a folder, and learn all anew
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class NewSpecies:
    """A species that a head is to learn from clips.

    `stretches` are when it is heard in a clip, by the clip's resolved path; of one without any, all
    is taken as a weak label is. `notes` say what was left out.
    """

    label: str
    clips: tuple[Path, ...]
    stretches: Mapping[Path, Stretches] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_new(new: NewSpecies, names: Sequence[str], head: Path) -> None:
    """Raise `UserError` for a label that cannot be added to those of a head, or without clips."""
    try:
        check_label(new.label)
    except SpecError as exc:
        raise UserError(f"--add {new.label}: {exc.fault.reason}") from exc
    if new.label in names:
        raise UserError(
            f"{head}: has the label {new.label} already",
            suggestion="put the clips into a folder of that name and give it with --data, too",
        )
    if not new.clips:
        raise UserError(f"--add {new.label}: needs 1 to {MOST_CLIPS} clips behind it")
    if len(new.clips) > MOST_CLIPS:
        raise UserError(
            f"--add {new.label}: {len(new.clips)} clips are more than {MOST_CLIPS}",
            suggestion="put them into a folder of that name, and learn all anew with --data",
        )


def usable_clips(
    new: NewSpecies, study: Study, *, workers: int
) -> tuple[list[Recording], list[str]]:
    """Return the clips that can be learnt from, dealt to the folds, and what was left out.

    Raises `UserError` where all are left out.
    """
    usable: dict[str, Recording] = {}
    tested = {r.sha256 for r in study.corpus.of(split="test")}
    notes = []
    for checked in check_files(new.clips, workers=workers):
        reason = _fault(checked, usable, tested)
        if reason:
            notes.append(f"left out: {printable(checked.path.name)} ({reason})")
        else:
            usable[checked.sha256] = _clip(checked, new.label, fold=len(usable) % FOLDS)
    if not usable:
        first = notes[0].removeprefix("left out: ")
        raise UserError(
            f"--add {new.label}: nothing can be learnt from {len(new.clips)} clips; the first: "
            f"{first}",
            suggestion="give others",
        )
    return list(usable.values()), notes


def _fault(checked: Checked, usable: Container[str], tested: Container[str]) -> str:
    """Return why a clip cannot be used, "" where it can."""
    if checked.fault:
        return checked.fault
    if checked.seconds < SHORTEST_S:
        return f"{checked.seconds:.1f} s, {SHORTEST_S:g} s are needed"
    if checked.sha256 in usable:
        return "given twice"
    return "in the test split" if checked.sha256 in tested else ""


def _clip(checked: Checked, label: str, *, fold: int) -> Recording:
    return Recording(
        path=checked.path.resolve(),
        role="known",
        label=label,
        common_name=label.replace("_", " "),
        recording=checked.path.stem,
        seconds=round(checked.seconds, 3),
        sha256=checked.sha256,
        split="dev",
        fold=fold,
    )


def with_clips(
    study: Study, new: NewSpecies, clips: Sequence[Recording]
) -> tuple[Study, list[str]]:
    """Return the study with the clips; its recordings of that unknown species are known now."""
    label = new.label
    marks = Marks({key_of(c): new.stretches[c.path] for c in clips if c.path in new.stretches})
    files = {clip.sha256 for clip in clips}
    same = [r for r in study.corpus.recordings if r.role == "unknown" and r.label == label]
    there = tuple(
        dataclasses.replace(r, role="known") if r in same else r
        for r in study.corpus.recordings
        if r.sha256 not in files
    )
    corpus = dataclasses.replace(study.corpus, recordings=there)
    known = dataclasses.replace(study, corpus=corpus, marks=study.marks.as_known(label))
    fresh = known.with_recordings(clips, marks)
    said = [f"{len(same)} recordings that were of an unknown species are of it."] if same else []
    return fresh, said
