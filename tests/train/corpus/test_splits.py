from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError
from tests.train.synthetic import recording
from train.corpus.annealing import anneal_counts
from train.corpus.corpus import Recording, recordist_key
from train.corpus.splits import SplitPlan, group_of, split_recordings, unsplittable

people = st.sampled_from(["", *(f"person{i}" for i in range(12))])
animals = st.lists(
    st.tuples(st.sampled_from(["known", "known", "unknown"]), st.integers(0, 5), people),
    min_size=4,
    max_size=60,
)
sounds = st.lists(st.tuples(st.sampled_from(["rain", "dog"]), st.integers(0, 15)), max_size=30)
plans = st.builds(
    SplitPlan,
    test_share=st.sampled_from([0.0, 0.2, 0.4]),
    folds=st.integers(2, 5),
    seed=st.integers(0, 9),
)


def build(
    animals: list[tuple[str, int, str]], sounds: list[tuple[str, int]], hours: int
) -> list[Recording]:
    listed = [
        recording(role, f"{role}_{k}", i, person)  # type: ignore[arg-type]
        for i, (role, k, person) in enumerate(animals)
    ]
    listed += [recording("noise", label, i) for label, i in dict.fromkeys(sounds)]
    return listed + [recording("background", "forest", i, "recorder") for i in range(hours)]


def place(r: Recording) -> tuple[str, int]:
    return r.split, r.fold


@settings(max_examples=12)
@given(animals, sounds, st.integers(0, 24), plans)
def test_the_laws_of_a_split(
    animals: list[tuple[str, int, str]], sounds: list[tuple[str, int]], hours: int, plan: SplitPlan
) -> None:
    listed = build(animals, sounds, hours)
    split = split_recordings(listed, plan)
    assert [r.path for r in split] == [r.path for r in listed]
    groups, species = defaultdict(set), defaultdict(set)
    training: dict[str, bool] = defaultdict(bool)
    for r in split:
        assert r.split in (("test", "dev", "unused") if r.role == "unknown" else ("test", "dev"))
        assert (0 <= r.fold < plan.folds) if r.split == "dev" else r.fold == -1
        if r.split == "unused":
            continue
        groups[group_of(r)].add(place(r))
        if r.role == "unknown":
            species[r.label].add(place(r))
        if r.role == "known":
            training[r.label] |= r.fold > 0
    assert all(len(places) == 1 for places in groups.values())
    assert all(len(places) == 1 for places in species.values())
    assert all(training.values())
    assert split_recordings(listed, plan) == split


def many(groups_each: int, *, each: int = 2) -> list[Recording]:
    return [
        recording("known", f"species_{s}", i, f"Anna {s} {i // each}")
        for s in range(6)
        for i in range(groups_each * each)
    ]


def test_enough_recordists_put_every_species_everywhere_near_its_share() -> None:
    split = split_recordings(many(10), SplitPlan(seed=1))
    assert unsplittable(split) == {}
    share = sum(r.split == "test" for r in split) / len(split)
    assert 0.15 <= share <= 0.25


@pytest.mark.parametrize(
    ("groups", "reason"),
    [(1, "test or validation: only 1 recordist"), (2, "validation: only 2 recordists")],
)
def test_a_species_that_cannot_be_split_is_named(groups: int, reason: str) -> None:
    rare = [recording("known", "rare", 100 + i, f"Only {i}") for i in range(groups)]
    reasons = unsplittable(split_recordings([*many(8), *rare], SplitPlan(seed=1)))
    assert reasons["rare"] == f"not in {reason}"


def test_unknown_species_follow_their_recordists_or_are_left_out() -> None:
    known = many(10)
    # one unknown species heard by everybody: it has one place, so only those there keep it
    everybody = {r.recordist for r in known}
    unknown = [
        recording("unknown", "mystery", i, person) for i, person in enumerate(sorted(everybody))
    ]
    split = split_recordings([*known, *unknown], SplitPlan())
    kept = [r for r in split if r.role == "unknown" and r.split != "unused"]
    assert 0 < len(kept) < len(unknown)
    assert len({place(r) for r in kept}) == 1


def test_a_third_of_the_unknown_species_is_for_the_test() -> None:
    unknown = [recording("unknown", f"u{s}", i) for s in range(60) for i in range(2)]
    split = split_recordings([*many(10), *unknown], SplitPlan())
    in_test = sum(r.split == "test" for r in split if r.role == "unknown") / len(unknown)
    assert in_test == pytest.approx(1 / 3, abs=0.05)


def test_every_fold_has_every_noise() -> None:
    noise = [recording("noise", label, i) for label in ("rain", "dog", "speech") for i in range(30)]
    split = split_recordings([*many(4), *noise], SplitPlan())
    for fold in range(-1, 5):
        assert {r.label for r in split if r.role == "noise" and r.fold == fold} == {
            "rain",
            "dog",
            "speech",
        }


def test_background_is_cut_in_few_runs() -> None:
    day = [recording("background", "forest", i, "recorder") for i in range(96)]
    split = [
        place(r) for r in split_recordings([*many(4), *day], SplitPlan()) if r.role == "background"
    ]
    borders = sum(a != b for a, b in itertools.pairwise(split))
    assert borders <= 2 * 6 - 1
    assert len(set(split)) == 6
    assert all(8 <= split.count(p) <= 24 for p in set(split))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dan Lane", "Daniel Lane"),
        ("johannes buhl", " Buhl  Johannes"),
        ("Chris Harrison", "(c) Chris Harrison, some rights reserved (CC BY-NC)"),
        ("© Dale A Morgan / iNaturalist, CC-BY-NC 4.0 (observation #1)", "Dale A Morgan"),
        ("Fernand DEROUSSEN", "Fernand Deroussen"),
        ("Jorge Leitão", "jorge leitao"),
    ],
)
def test_spellings_of_one_person_are_one_recordist(one: str, other: str) -> None:
    assert recordist_key(one) == recordist_key(other) != ""


def test_different_people_and_nobody_stay_apart() -> None:
    names = ["Eric DeFonso", "Paul Marvin", "Sonnenburg", "Bill Grantham", "Bruce Lagerquist"]
    assert len({recordist_key(name) for name in names}) == len(names)
    assert recordist_key("  ") == ""


@pytest.mark.parametrize("values", [{"test_share": 1.0}, {"test_share": -0.1}, {"folds": 1}])
def test_an_impossible_plan_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SplitPlan(**values)  # type: ignore[arg-type]


def test_every_class_trains_even_when_the_annealing_had_no_time() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2, (12, 8)) * rng.integers(1, 4, (12, 8))
    counts = counts[:, counts.any(0)]
    targets = np.tile([0.5, 0.3, 0.1, 0.1], (counts.shape[1], 1))
    for seed in range(20):
        bins = anneal_counts(
            counts, targets, extra_classes=0, rng=np.random.default_rng(seed), steps_per_group=0
        )
        assert counts[bins >= 2].any(0).all()
