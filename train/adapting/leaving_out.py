"""Unknown species where a study has none: its own, left out of heads in turn.

To each of these heads some species are unknown, as a stranger's animal will be to the one that is
kept: from them one learns which rule of rejection holds, and how well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from train.adapting.blank import blank_top
from train.adapting.held_out import Fit, fit_part, held_out_outputs
from train.adapting.study import Heard
from train.corpus.corpus import Corpus, Recording
from train.corpus.turns import deal_species
from train.judging.left_out import Turn

__all__ = ["turns_of"]


def turns_of(heard: Heard, fit: Fit) -> tuple[Turn, ...]:
    """Return what heads say that never heard some of the species; none where a study has unknown
    species of its own, or too few to leave any out.
    """
    if heard.study.corpus.of(role="unknown"):
        return ()
    dealt = deal_species(heard.study.names)
    turns = (_turn(heard, fit, left_out) for left_out in dealt)
    return tuple(turn for turn in turns if turn.tells)


def _turn(heard: Heard, fit: Fit, left_out: tuple[str, ...]) -> Turn:
    without = _without(heard, left_out)
    never = heard.of(lambda r: r.role == "known" and r.label in left_out)
    held_out, _ = held_out_outputs(without, fit, never=never)
    top = fit_part(without, fit, without.of(lambda r: r.split == "dev") & ~never, complete=False)
    test = without.outputs(without.of(lambda r: r.split == "test"), top)
    return Turn(
        left_out=left_out,
        steps=0,
        corpus=without.study.corpus,
        train=held_out,
        validation=held_out,
        test=test,
    )


def _without(heard: Heard, left_out: Collection[str]) -> Heard:
    """Return what was heard as if some of the species were unknown."""
    corpus = heard.study.corpus
    recordings = tuple(_unknown(r) if r.label in left_out else r for r in corpus.recordings)
    study = dataclasses.replace(heard.study, corpus=Corpus(root=corpus.root, recordings=recordings))
    blank, labels = blank_top(heard.trunk, study.corpus)
    return dataclasses.replace(heard, study=study, blank=blank, labels=labels)


def _unknown(recording: Recording) -> Recording:
    if recording.role != "known":
        return recording
    return dataclasses.replace(recording, role="unknown")
