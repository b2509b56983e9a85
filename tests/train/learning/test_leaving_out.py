"""Species left out in turn: to that training they are unknown, and nobody is on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.corpus.corpus import Corpus, Recording
from train.corpus.splits import group_of
from train.corpus.turns import deal_species
from train.learning.leaving_out import without
from train.learning.splits import fold_splits


@pytest.mark.parametrize("count", [*range(3, 9), 65])
def test_every_species_is_left_out_once_and_two_stay(count: int) -> None:
    labels = [f"species_{i}" for i in range(count)]
    turns = deal_species(labels)
    assert sorted(label for turn in turns for label in turn) == sorted(labels)
    assert all(count - len(turn) >= 2 for turn in turns)


def test_of_two_species_none_can_be_left_out() -> None:
    assert deal_species(["owl", "wren"]) == ()


def recording(label: str, person: str, split: str, fold: int) -> Recording:
    return Recording(
        path=Path(f"/x/{label}_{person}.wav"),
        role="known",
        label=label,
        recordist=person,
        split=split,
        fold=fold,
    )


CORPUS = Corpus(
    root=Path("/x"),
    recordings=(
        recording("owl", "Ada Byron", "dev", 1),
        recording("owl", "Ben Carr", "dev", 0),
        recording("owl", "Cleo Dean", "test", -1),
        recording("wren", "Ada Byron", "dev", 1),
        recording("wren", "Dora Eck", "dev", 2),
        recording("tit", "Dora Eck", "dev", 2),
        recording("tit", "Emil Fay", "dev", 1),
    ),
)


def test_a_species_left_out_is_unknown_and_never_trained_on() -> None:
    changed = without(CORPUS, ["tit", "owl"], fold=0)
    assert [r.path for r in changed.recordings] == [r.path for r in CORPUS.recordings]
    splits = fold_splits(changed, fold=0)
    assert {r.label for r in splits.train} == {"wren"}
    assert [r.path.stem for r in splits.validation] == ["owl_Ben Carr", "tit_Emil Fay"]
    assert [r.path.stem for r in splits.test] == ["owl_Cleo Dean"]
    assert {r.role for r in (*splits.validation, *splits.test)} == {"unknown"}


def test_nobody_who_trains_is_heard_in_validation() -> None:
    splits = fold_splits(without(CORPUS, ["tit", "owl"], fold=0), fold=0)
    trained = {group_of(r) for r in splits.train}
    assert not trained & {group_of(r) for r in splits.validation}
