"""A head that learns from what people answered about its detections."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge.bundle import Bundle
from edge.errors import UserError
from train.adapting.adapt import Adapted, judged
from train.adapting.answered import Answer, read_answers
from train.adapting.changes import Decision, before_and_after, decision_of, judged_by
from train.adapting.clips import FOLDS
from train.adapting.marks import DENIED, Marks, key_of
from train.adapting.study import Heard, Means, Study, hear
from train.adapting.tops import Fitted, fit_study
from train.adapting.work import Work
from train.corpus.corpus import Recording, Role
from train.corpus.quality import Checked, check_files
from train.windows.listening import Watch

__all__ = ["correct"]

NOISE, UNNAMED = "correction", "unnamed"


def correct(
    table: Path,
    head: Bundle,
    trunk: Bundle,
    work: Work,
    means: Means,
    *,
    say: Callable[[str], None],
    watch: Watch,
) -> Adapted:
    """Return the head, learnt anew from all it was made of and from the answers in a table.

    The stretches train, each recording in one fold; recordings of the test split stay out of it.
    Raises `UserError` for answers that cannot be used.
    """
    old = decision_of(head)
    answers = read_answers(table, head.labels)
    study, notes = _with(work.study, answers, table, workers=means.workers)
    heard = hear(study, trunk, means, watch=watch)
    fitted = fit_study(heard, work.kind, acceptance=work.acceptance, say=say)
    say("judging")
    new = (fitted.top, fitted.calibration.head, study.names)
    sentence, _ = before_and_after(heard, before=old, after=new)
    named = _named(heard, fitted, old)
    change = f"It learnt from {_counted(answers)} ({table.name}). {named}{sentence}"
    made = judged(heard, fitted, means)
    return dataclasses.replace(made, notes=(*made.notes, *notes), changes=(*work.changes, change))


def _counted(answers: Sequence[Answer]) -> str:
    who = len({answer.who for answer in answers if answer.who})
    people = f" of {who} {'people' if who > 1 else 'person'}" if who else ""
    return f"{len(answers)} answers{people}"


def _with(
    study: Study, answers: Sequence[Answer], table: Path, *, workers: int
) -> tuple[Study, list[str]]:
    """Return the study with the answered stretches as recordings, and what was left out."""
    by_path: dict[Path, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_path[answer.path].append(answer)
    there = {r.sha256: r for r in study.corpus.recordings}
    added: list[Recording] = []
    stretches: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    notes = []
    for i, checked in enumerate(check_files(by_path, workers=workers)):
        own, known = by_path[checked.path], there.get(checked.sha256)
        reason = _fault(checked, known)
        if reason:
            notes.append(f"left out: {len(own)} answers on {checked.path.name} ({reason})")
            continue
        fold = known.fold if known is not None else i % FOLDS
        for answer in own:
            for one in _recordings(answer, checked, study.names, fold=fold):
                added += [one] if key_of(one) not in stretches else []
                stretches[key_of(one)].append((answer.start_s, answer.end_s))
    if not added:
        raise UserError(f"{table}: nothing can be learnt from it; {notes[0]}")
    marks = Marks({key: tuple(sorted(set(some))) for key, some in stretches.items()})
    new = {key_of(one) for one in added}
    corpus = dataclasses.replace(
        study.corpus,
        recordings=tuple(r for r in study.corpus.recordings if key_of(r) not in new),
    )
    return dataclasses.replace(study, corpus=corpus).with_recordings(added, marks), notes


def _fault(checked: Checked, there: Recording | None) -> str:
    if checked.fault:
        return checked.fault
    return "it is in the test split" if there is not None and there.split != "dev" else ""


def _recordings(
    answer: Answer, checked: Checked, names: Sequence[str], *, fold: int
) -> list[Recording]:
    """Return the recording under what an answer says that its stretch is, and is not.

    What is a label is not another's, so that this is said only where nothing else is.
    """
    roles: list[tuple[Role, str]] = []
    if answer.label in names:
        roles.append(("known", answer.label))
    elif answer.label:
        roles.append(("unknown", answer.label))
    elif answer.noise:
        roles.append(("noise", NOISE))
    elif answer.wrong_only and answer.denied in names:
        roles.append(("unknown", f"{DENIED}{answer.denied}"))
    elif not answer.wrong_only:
        roles.append(("unknown", UNNAMED))
    return [
        Recording(
            path=checked.path,
            role=role,
            label=label,
            recording=checked.path.stem,
            seconds=round(checked.seconds, 3),
            sha256=checked.sha256,
            source="correction",
            split="dev",
            fold=fold,
        )
        for role, label in roles
    ]


def _named(heard: Heard, fitted: Fitted, before: Decision) -> str:
    """Return how many answered recordings are named as people say, before and after.

    After: by tops that were fitted without them.
    """
    top, head, names = before
    corrected = np.array(
        [r.source == "correction" and r.role == "known" for r in heard.study.corpus.recordings]
    )
    held_out = fitted.held_out.select(corrected[fitted.held_out.recording])
    if not len(held_out):
        return ""
    after = judged_by(heard, held_out, fitted.calibration.head)
    mask = corrected[heard.answers.recording]
    old = judged_by(heard, heard.outputs(mask, top, names), head)
    right = [int((some.opened == some.truth.species).sum()) for some in (old, after)]
    return (
        f"Of {len(after.recording)} recordings that people named, the head of before names and "
        f"accepts {right[0]}, one that was taught without them {right[1]}. "
    )
