"""Unknown species where a collection has none: its own, left out of a training in turn.

Each turn trains a smaller run that never hears some of the species. To it they are unknown, as a
stranger's animal will be to the run that is kept: from the turns one learns which rejection rule
holds, and how well.

run/left-out-0/    a run like any other (`train.learning.fit`); up to two more beside it
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.corpus.corpus import Corpus, Recording
from train.corpus.splits import group_of
from train.corpus.turns import deal_species
from train.learning.fit import start_task, train_task
from train.learning.members import Report
from train.learning.run import TrainedRun, load_run
from train.recipe.recipe import Recipe

__all__ = ["LeftOut", "finished_turns", "fit_left_out", "turns_to_train", "without"]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A run that never heard the species `labels`, and the corpus in which they are unknown."""

    labels: tuple[str, ...]
    run: TrainedRun
    corpus: Corpus


def fit_left_out(
    run: TrainedRun,
    corpus: Corpus,
    *,
    report: Report,
    say: Callable[[str], None],
    most_s: float = math.inf,
    **machine: Any,
) -> None:
    """Train the turns of a finished run (`turns_to_train`), resuming, each for `most_s` at most.

    `machine` is what `start_task` needs to know of it: cache, device and workers.
    """
    turns = turns_to_train(run, corpus)
    for i, labels in enumerate(turns):
        named = ", ".join(labels[:3]) + (" and others" if len(labels) > 3 else "")
        say(f"training {i + 1} of {len(turns)} without {named}, which are unknown to it")
        recipe = _smaller(run.recipe, [label for label in run.labels if label not in labels])
        heard = without(corpus, labels, fold=run.fold)
        task = start_task(recipe, heard, folder=_folder(run, i), fold=run.fold, **machine)
        train_task(dataclasses.replace(task, most_s=most_s), heard, report)


def turns_to_train(run: TrainedRun, corpus: Corpus) -> tuple[tuple[str, ...], ...]:
    """Return which species each turn leaves out; no turn where the corpus has unknown species.

    There is none either where the recipe wants none, where it starts from an earlier run, or where
    fewer than two species would be left.
    """
    if corpus.of(role="unknown") or run.recipe.pseudo or not run.recipe.left_out_share:
        return ()
    return deal_species(run.labels)


def finished_turns(run: TrainedRun, corpus: Corpus) -> tuple[LeftOut, ...]:
    """Return the turns of a run that are there; none where the corpus has unknown species."""
    if corpus.of(role="unknown"):
        return ()
    found = []
    for i, labels in enumerate(deal_species(run.labels)):
        if (_folder(run, i) / "outputs-test.npz").exists():
            heard_without = without(corpus, labels, fold=run.fold)
            found.append(
                LeftOut(labels=labels, run=load_run(_folder(run, i)), corpus=heard_without)
            )
    return tuple(found)


def without(corpus: Corpus, labels: Collection[str], *, fold: int) -> Corpus:
    """Return the corpus, its recordings in the same order, with species `labels` as unknown ones.

    What would have trained validates with `fold`; it is unused where its recordist trains.
    """
    training = {
        group_of(r)
        for r in corpus.of(split="dev")
        if r.fold != fold and not (r.role == "known" and r.label in labels)
    }

    def changed(r: Recording) -> Recording:
        if r.role != "known" or r.label not in labels:
            return r
        unknown = dataclasses.replace(r, role="unknown")
        if r.split != "dev" or r.fold == fold:
            return unknown
        if group_of(r) in training:
            return dataclasses.replace(unknown, split="unused", fold=-1)
        return dataclasses.replace(unknown, fold=fold)

    return dataclasses.replace(corpus, recordings=tuple(map(changed, corpus.recordings)))


def _folder(run: TrainedRun, turn: int) -> Path:
    return run.folder / f"left-out-{turn}"


def _smaller(recipe: Recipe, species: Sequence[str]) -> Recipe:
    """Return the recipe of one short training of the species, of a single network."""
    share = recipe.left_out_share
    stages = tuple(
        dataclasses.replace(stage, steps=max(1, round(share * stage.steps)))
        for stage in recipe.stages
    )
    steps = sum(stage.steps for stage in stages) or max(1, round(share * recipe.steps))
    return dataclasses.replace(
        recipe, species=tuple(species), withheld=(), members=1, steps=steps, stages=stages
    )
