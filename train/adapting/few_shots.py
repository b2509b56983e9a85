"""A further species for a head, from a few clips: its other labels stay as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.bundle.heads import Head
from edge.bundle.precision import wilson
from edge.bundle.top import Top
from edge.errors import UserError
from train.adapting.adapt import Adapted
from train.adapting.changes import before_and_after, decision_of, judged_by
from train.adapting.clips import FOLDS, NewSpecies, check_new, usable_clips, with_clips
from train.adapting.fitting import fit_column, one_thread
from train.adapting.silence import silent
from train.adapting.study import Heard, Means, hear
from train.adapting.work import Work
from train.corpus.corpus import Recording
from train.judging.calibration import Calibration
from train.judging.evaluate import evaluate
from train.windows.listening import Watch
from train.windows.outputs import WindowOutputs

__all__ = ["add_species"]

MOST_FALSE = 0.02  # of recordings of other things that may be given the name of a new species


def add_species(
    new: NewSpecies,
    head: Bundle,
    trunk: Bundle,
    work: Work,
    means: Means,
    *,
    say: Callable[[str], None],
    watch: Watch,
) -> Adapted:
    """Return the head with one label more; raises `UserError` where nothing can be learnt.

    How well it is named is measured on clips held out fold by fold. The rule stays.
    """
    old_top, decision, names = old = decision_of(head)
    check_new(new, names, head.path)
    clips, notes = usable_clips(new, work.study, workers=means.workers)
    study, more = with_clips(work.study, new, clips)
    _refuse_silent(new, heard := hear(study, trunk, means, watch=watch), trunk)
    say(f"learning {new.label} from {len(clips)} clips")
    top, column = _widened(old_top, heard, names, new.label)
    learnt = _taught(top, column, heard, heard.of(lambda r: r.split == "dev"))
    found = _found_in_held_out(top, column, heard, decision, clips)
    sentence, _ = before_and_after(heard, before=old, after=(learnt, decision, study.names))
    test = heard.outputs(heard.of(lambda r: r.split == "test"), learnt)
    kept = _kept(decision, work, study.names)
    report = evaluate(study.corpus, test, kept, out_dir=means.report_dir)
    false = _false_names(heard, test, decision, column)
    summary = _summary(new.label, clips, found, false)
    return Adapted(
        study=study,
        labels=heard.labels,
        kind=work.kind,
        top=learnt,
        calibration=dataclasses.replace(kept, animal=head.manifest.animal),
        report=report,
        scores=head.calibration,
        notes=(*study.notes, *new.notes, *notes, *_too_many(new.label, *false)),
        changes=(*work.changes, " ".join([summary, *more, sentence])),
    )


def _refuse_silent(new: NewSpecies, heard: Heard, trunk: Bundle) -> None:
    own = heard.of(lambda r: r.role == "known" and r.label == new.label)
    if silent(heard.answers.embedding[own], trunk).all():
        raise UserError(
            f"--add {new.label}: {trunk.manifest.name} hears nothing in these clips but silence",
            suggestion="give clips in which the species is heard",
        )


def _widened(top: Top, heard: Heard, names: Sequence[str], label: str) -> tuple[Top, int]:
    """Return the top with a column for one label more, and where that stands."""
    order = heard.study.names
    column = order.index(label)
    positions = [names.index(name) if name != label else -1 for name in order]
    old = np.array(positions)
    weights = np.where(old >= 0, top.weights[:, old], np.float32(0))
    bias = np.where(old >= 0, top.bias[old], np.float32(0))
    return (
        dataclasses.replace(
            top,
            weights=weights.astype(np.float32),
            bias=bias.astype(np.float32),
            own=heard.blank.own,
            others=heard.blank.others,
        ),
        column,
    )


def _taught(top: Top, column: int, heard: Heard, part: NDArray[np.bool_]) -> Top:
    """Return a top whose one column is fitted to the windows of a part."""
    used = part & heard.chosen
    answers = heard.answers.select(used)
    logits = answers.logits.astype(np.float32)
    with one_thread():
        weights, bias = fit_column(
            top, answers.embedding, logits, heard.species[used], column=column
        )
    all_weights, all_bias = top.weights.copy(), top.bias.copy()
    all_weights[:, column], all_bias[column] = weights, bias
    return dataclasses.replace(top, weights=all_weights, bias=all_bias)


def _found_in_held_out(
    top: Top, column: int, heard: Heard, head: Head, clips: Sequence[Recording]
) -> list[bool]:
    """Return of each clip whether a top that was taught without its fold names and accepts it.

    There are none of one clip.
    """
    files = {clip.sha256: clip.fold for clip in clips}
    folds = sorted(set(files.values()))
    found: list[bool] = []
    for fold in folds if len(folds) > 1 else ():
        held_out = heard.of(lambda r, f=fold: files.get(r.sha256) == f)  # type: ignore[misc]
        others = heard.of(lambda r: r.split == "dev") & ~held_out
        taught = _taught(top, column, heard, others)
        outputs = heard.outputs(held_out, taught)
        found += (judged_by(heard, outputs, head).opened == column).tolist()
    return found


def _false_names(heard: Heard, test: WindowOutputs, head: Head, column: int) -> tuple[int, int]:
    """Return how many test recordings of other things are given the label, and of how many."""
    judged = judged_by(heard, test, head)
    others = judged.truth.species != column
    return int((judged.opened[others] == column).sum()), int(others.sum())


def _too_many(label: str, named: int, others: int) -> tuple[str, ...]:
    """Return a note where surely more than a few other things are given the name."""
    if wilson(named, others)[0] <= MOST_FALSE:
        return ()
    return (
        f"{named} of {others} test recordings of other things are called {label}, which is too "
        "many to believe it: give more and clearer clips of it, or recordings of what is mistaken "
        "for it",
    )


def _summary(
    label: str, clips: Sequence[Recording], found: list[bool], false: tuple[int, int]
) -> str:
    many = f"{len(clips)} clips" if len(clips) > 1 else "1 clip"
    folds = min(FOLDS, len(clips))
    right = (
        f"{sum(found)} of {len(found)} are named and accepted by a head that was taught without "
        f"them ({folds}-fold over these {len(found)})"
        if found
        else "how well it is named was not measured: that takes two"
    )
    return (
        f"{label} was added from {many}: {right}. {false[0]} of {false[1]} test recordings of "
        "other things are given its name."
    )


def _kept(decision: Head, work: Work, labels: Sequence[str]) -> Calibration:
    """Return the decision of before as a calibration of the labels of now."""
    return Calibration(
        labels=tuple(labels),
        activation=decision.activation,
        acceptance=work.acceptance,
        chosen=decision.rule.kind,
        heads={decision.rule.kind: decision},
        table=(),
    )
