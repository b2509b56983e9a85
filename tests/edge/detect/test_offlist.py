"""What becomes of a window whose best label a site does not expect: unknown, or the next one."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import Bundle, ListMargin, load_bundle
from edge.bundle.manifest import Manifest
from edge.cli import main
from edge.clock import Clock
from edge.config.config import load_config
from edge.detect.decision import Decision, best
from edge.detect.site import OffList, Site, outdone
from edge.detect.species_list import parse_species
from edge.errors import FaultyConfigError, SpecError
from edge.recorder.plan import make_plan
from edge.types import Prediction
from tests.edge.detect.test_tracker import prediction
from tests.support.daemons import write_config

LABELS = ("ant", "bee", "cat", "engine")
ANIMALS = np.array([True, True, True, False])
CLOCK = Clock(
    start_utc=datetime(2024, 5, 15, tzinfo=timezone.utc),
    sample_rate_hz=100,
    source="system",
    synced=True,
    uncertainty_s=0.0,
)
SEVERAL = Decision(
    labels=LABELS,
    thresholds=np.full(4, 0.5, np.float32),
    animals=ANIMALS,
    margin=ListMargin(threshold=1.0, scale=2.0),
)
ONE = Decision(labels=LABELS, animals=ANIMALS, leaves_room=True)
SCORE = st.floats(0, 1, width=32)


def heard(decision: Decision, *scores: float, novelty: float = 0.1) -> Prediction:
    """The prediction of a window with these scores, before the site is asked."""
    blank = dataclasses.replace(prediction(0, "a"), label=None, others=())
    values = np.array(scores, np.float32)
    return decision(blank, scores=values, novelty=novelty, accepted=True)


def site(decision: Decision, *listed: str, off_list: OffList) -> Site:
    species = parse_species([*listed])
    return Site(species, clock_at=lambda sample: CLOCK, decision=decision, off_list=off_list)


def labels(p: Prediction) -> list[str]:
    return [score.label for score in p.accepted]


@pytest.mark.parametrize(
    ("scores", "unknown", "next_one"),
    [
        # The bee is off the list; scores as logits: 0.9 is 2.2, 0.95 is 2.9, 0.6 is 0.4.
        ((0.90, 0.05, 0.0, 0.0), ["ant"], ["ant"]),
        ((0.60, 0.70, 0.0, 0.0), ["ant"], ["ant"]),  # outdone by less than the margin
        ((0.60, 0.95, 0.0, 0.0), [], ["ant"]),
        ((0.40, 0.95, 0.0, 0.0), [], []),  # the ant does not pass by itself
        ((0.60, 0.95, 0.0, 0.9), ["engine"], ["engine", "ant"]),  # which no animal outdoes
        ((0.60, 0.05, 0.0, 0.99), ["engine", "ant"], ["engine", "ant"]),
    ],
)
def test_of_several_labels_those_are_believed_that_no_other_animal_outdoes(
    scores: tuple[float, ...], unknown: list[str], next_one: list[str]
) -> None:
    p = heard(SEVERAL, *scores)
    assert labels(site(SEVERAL, "ant", "engine", off_list="unknown")(p)) == unknown
    assert labels(site(SEVERAL, "ant", "engine", off_list="next")(p)) == next_one


@pytest.mark.parametrize(
    ("scores", "unknown", "next_one"),
    [
        ((0.60, 0.30, 0.0, 0.0), ["ant"], ["ant"]),
        ((0.30, 0.60, 0.0, 0.0), [], ["ant"]),  # none of them has 0.1
        ((0.10, 0.60, 0.0, 0.0), [], []),  # none of them has 0.3
        ((0.20, 0.60, 0.15, 0.0), [], ["ant"]),
    ],
)
def test_of_one_label_the_next_is_at_least_as_likely_as_none(
    scores: tuple[float, ...], unknown: list[str], next_one: list[str]
) -> None:
    p = heard(ONE, *scores)
    assert labels(site(ONE, "ant", "cat", off_list="unknown")(p)) == unknown
    assert labels(site(ONE, "ant", "cat", off_list="next")(p)) == next_one


def test_scores_that_always_add_up_to_1_have_no_next() -> None:
    softmax = dataclasses.replace(ONE, leaves_room=False)
    p = heard(softmax, 0.4, 0.6, 0.0, 0.0)
    assert labels(site(softmax, "ant", off_list="next")(p)) == []


def test_a_rejected_window_has_no_next() -> None:
    blank = dataclasses.replace(prediction(0, "a"), label=None, others=())
    p = ONE(blank, scores=np.array([0.4, 0.5, 0, 0], np.float32), novelty=0.7, accepted=False)
    assert site(ONE, "ant", off_list="next")(p) is p


def test_the_next_is_told_as_any_other() -> None:
    p = heard(ONE, 0.3, 0.6, 0.0, 0.0)
    told = site(ONE, "ant", off_list="next")(p)
    assert (told.label, told.nearest) == ("ant", "ant")
    assert told.score == pytest.approx(0.3)
    assert told.top == best(LABELS, p.scores)  # what the model said stays to be read


@given(st.tuples(SCORE, SCORE, SCORE, SCORE), st.sampled_from(["unknown", "next"]))
def test_nothing_unexpected_is_ever_named_and_novelty_says_the_same(
    scores: tuple[float, ...], off_list: OffList
) -> None:
    for decision in (SEVERAL, ONE):
        told = site(decision, "ant", "engine", off_list=off_list)(heard(decision, *scores))
        assert set(labels(told)) <= {"ant", "engine"}
        assert (told.label is None) == (told.novelty > 0.5)
        assert 0 <= told.novelty <= 1


@given(st.tuples(SCORE, SCORE, SCORE, SCORE))
def test_next_names_whatever_unknown_names(scores: tuple[float, ...]) -> None:
    for decision in (SEVERAL, ONE):
        p = heard(decision, *scores)
        strict = labels(site(decision, "ant", "engine", off_list="unknown")(p))
        assert set(strict) <= set(labels(site(decision, "ant", "engine", off_list="next")(p)))


@given(SCORE, SCORE)
def test_an_animal_is_the_more_novel_the_more_another_outdoes_it(a: float, b: float) -> None:
    listed = np.array([True, False, False, True])
    low, high = sorted((a, b))
    lesser, greater = (np.array([0.5, score, 0, 0], np.float32) for score in (low, high))
    assert outdone(lesser, listed, SEVERAL) <= outdone(greater, listed, SEVERAL)
    assert outdone(np.array([0.5, 0.731, 0, 0], np.float32), listed, SEVERAL) == pytest.approx(
        0.5, abs=1e-3
    )


def test_a_margin_belongs_to_labels_that_are_judged_by_themselves(bundle: Bundle) -> None:
    margin = ListMargin(threshold=1.0, scale=1.0)
    with pytest.raises(SpecError, match="list_margin: has no meaning with the activation"):
        dataclasses.replace(bundle.manifest, list_margin=margin)
    several = dataclasses.replace(bundle.manifest, list_margin=margin, activation="sigmoid")
    plain = several.as_mapping()
    assert Manifest.parse(plain, where="here") == several
    assert several.needs_version_5
    for wrong in (
        None,
        3,
        {"threshold": 1.0},
        {"threshold": 1.0, "scale": 0.0},
        {"scale": 1.0},
        {"threshold": -1.0, "scale": 1.0},
    ):
        with pytest.raises(SpecError, match="here: list_margin: "):
            Manifest.parse({**plain, "list_margin": wrong}, where="here")


def test_a_bundle_without_one_keeps_its_digest(bundle: Bundle) -> None:
    assert "list_margin" not in bundle.manifest.as_mapping()
    assert load_bundle(bundle.path).digest == bundle.digest


def test_the_choice_is_part_of_the_configuration(tmp_path: Path, bundle: Bundle) -> None:
    usual = load_config(write_config(tmp_path, bundle.path))
    chosen = load_config(write_config(tmp_path, bundle.path, site={"offlist": "next"}))
    same = load_config(write_config(tmp_path, bundle.path, site={"offlist": "unknown"}))
    assert usual.digest == same.digest != chosen.digest
    assert make_plan(chosen).config.site.offlist == "next"
    with pytest.raises(FaultyConfigError, match=r"site\.offlist"):
        load_config(write_config(tmp_path, bundle.path, site={"offlist": "guess"}))


def test_replay_takes_it_as_an_option() -> None:
    result = CliRunner().invoke(main, ["replay", "--offlist", "guess", "a.wav"])
    assert result.exit_code == 2
    assert "'guess' is not one of 'unknown', 'next'" in result.stderr
