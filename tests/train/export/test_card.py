"""The model card says of a run what that run is, whichever recipe it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train.tiny import TINY, TRIPLET
from train.corpus.corpus import Corpus, Recording, Role
from train.export.card import render_card
from train.learning.members import member_network
from train.learning.run import TrainedRun
from train.learning.splits import Splits
from train.recipe.load import parse_recipe

SPEECH: tuple[Role, str] = ("noise", "speech")
HISS: tuple[Role, str] = ("noise", "hiss")
PAPER = {"paper": "Thakur et al. 2019", "section": "II", "departs": {"steps": "fewer,\n  for now"}}


def recordings(*others: tuple[Role, str]) -> tuple[Recording, ...]:
    every: tuple[tuple[Role, str], ...] = (("known", "wren"), ("known", "toad"), *others)
    return tuple(
        Recording(path=Path(f"{i}.wav"), role=role, label=label, recording=f"r{i}")
        for i, (role, label) in enumerate(every)
    )


def card_of(recipe: dict[str, Any], *others: tuple[Role, str]) -> str:
    """Return the card of an untrained run of two species, its lines joined."""
    parsed, labels = parse_recipe(recipe, where=""), ("toad", "wren")
    used = recordings(*others)
    run = TrainedRun(
        folder=Path(),
        recipe=parsed,
        labels=labels,
        fold=0,
        corpus="",
        network=member_network(parsed, labels),
    )
    splits = Splits(train=used, validation=(), test=())
    corpus = Corpus(root=Path(), recordings=used)
    card = render_card(run, corpus, splits, name="x", report="", notes="")
    return " ".join(card.split())


def test_the_paper_s_parameters_stand_beside_those_of_its_network_only() -> None:
    assert "(the paper's network: 1,286,410)" in card_of({**TRIPLET, **PAPER})
    assert "1,286,410" not in card_of(TRIPLET)
    assert "1,286,410" not in card_of({**TINY, **PAPER})
    assert "1,286,410" not in card_of(TINY)


def test_a_paper_s_system_says_of_which_and_where_it_departs() -> None:
    card = card_of({**TRIPLET, **PAPER})
    assert "The system is that of Thakur et al. 2019, II. It departs from the paper in" in card
    assert "- `steps`: fewer, for now" in card
    assert "departs from the paper in nothing." in card_of({**TRIPLET, **PAPER, "departs": {}})
    assert "The system is that of" not in card_of(TINY)


@pytest.mark.parametrize(
    ("recipe", "others", "said"),
    [
        (
            TINY,
            (SPEECH, SPEECH, HISS),
            "it was trained to reject speech, recordings of `speech` (2)",
        ),
        (TINY, (HISS,), "it was not trained to reject speech"),
        (TINY, (), "it was not trained to reject speech"),
        # Triplets are of the species alone, whatever the recordings have beside them.
        (TRIPLET, (SPEECH, HISS), "it was not trained to reject speech"),
    ],
)
def test_only_a_run_that_was_shown_speech_says_so(
    recipe: dict[str, Any], others: tuple[tuple[Role, str], ...], said: str
) -> None:
    assert f"- People: {said}, and it has no way to recognise" in card_of(recipe, *others)


def test_a_run_that_was_shown_its_species_alone_says_so() -> None:
    nothing_else = "In training it was shown nothing but its species."
    assert nothing_else in card_of(TRIPLET, SPEECH)
    assert nothing_else in card_of(TINY)
    assert nothing_else not in card_of(TINY, HISS)


def test_species_it_does_not_name_were_shown_as_none_or_left_out() -> None:
    left = "with their number of recordings."
    shown = card_of(TINY, ("known", "owl"))
    assert f"{left} Training showed them as none of its species: owl (1)." in shown
    assert f"{left} Training left them out: owl (1)." in card_of(TRIPLET, ("known", "owl"))
