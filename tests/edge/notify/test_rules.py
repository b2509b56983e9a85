"""Which events are told: every rule against a plain reading of what it promises."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.notify.notebook import Notebook, opened
from edge.notify.rules import RULES, Names
from edge.notify.watching import tell_of
from edge.store.events import StoredEvent, event_of
from edge.store.payloads import written
from tests.support.heard import SPECIES
from tests.support.store import payload
from tests.support.telling import place_at, watch_of

BEGIN = datetime(2026, 5, 1, tzinfo=timezone.utc)
WREN, OWL = "eurasian_wren", "little_owl"
SOME = {"first_today": [WREN], "species": [OWL, "great_tit"]}


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Notebook]:
    with opened(tmp_path / "notify" / "notify.db") as notebook:
        notebook.db.execute("PRAGMA synchronous = OFF")
        yield notebook


def event(number: int, at: datetime, label: str | None, **changed: Any) -> StoredEvent:
    common, scientific, _ = SPECIES.get(label or "", (None, None, 0.0))
    content = payload(
        number,
        label=label,
        common_name=common,
        scientific_name=scientific,
        start_utc=at.isoformat(),
        end_utc=(at + timedelta(seconds=3)).isoformat(),
        **changed,
    )
    found = event_of(number, written(content))
    assert found is not None
    return found


def made_up(seed: int, days: int = 6) -> list[StoredEvent]:
    dice = random.Random(seed)
    times = sorted(dice.uniform(0, days * 86_400) for _ in range(dice.choice((40, 400))))
    events = []
    for number, at_s in enumerate(times):
        label = dice.choice([None, *SPECIES])
        sure: dict[str, Any] = {"probability": round(dice.uniform(0.5, 1), 3)}
        if dice.random() < 0.3:
            sure = {"score": round(dice.uniform(0.5, 1), 3)}
        kind = {"kind": "machine"} if dice.random() < 0.05 else {}
        events.append(event(number, BEGIN + timedelta(seconds=at_s), label, **sure, **kind))
    return events


def expected(events: list[StoredEvent], config: Any) -> list[tuple[str, str]]:
    """What is told, said plainly: one loop, lists and no database."""
    told: list[tuple[str, str, datetime]] = []  # a rule, a species, when
    messages: list[tuple[str, str]] = []  # an event, and the rule that its message is by
    days: list[Any] = []  # of the messages
    heard: list[tuple[str, Any]] = []
    for one in events:
        sure = (
            one.score >= config.score
            if one.probability is None
            else one.probability >= config.probability
        )
        if one.label is None or not sure:
            continue
        day = one.start.date()
        new_ever = one.label not in [label for label, _ in heard]
        new_today = (one.label, day) not in heard
        heard.append((one.label, day))
        rules = []
        if one.kind != "machine" and config.first_ever and new_ever:
            rules.append("first_ever")
        wanted = config.first_today is True or (
            config.first_today is not False and one.label in config.first_today
        )
        if one.kind != "machine" and wanted and new_today:
            rules.append("first_today")
        if one.label in config.species:
            rules.append("species")
        free = [
            rule
            for rule in rules
            if not any(
                (rule, one.label) == (r, s) and (one.end - at).total_seconds() < config.every_s
                for r, s, at in told
            )
        ]
        if free and days.count(day) < config.most_per_day:
            messages.append((one.id, free[0]))
            days.append(day)
            told += [(rule, one.label, one.end) for rule in rules]
    return messages


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"first_ever": False, "first_today": True},
        {"first_ever": False, "species": list(SPECIES), "every_s": 7200.0},
        {**SOME, "every_s": 0.0},
        {**SOME, "first_ever": False, "every_s": 90_000.0},
        {"first_today": True, "species": [OWL], "most_per_day": 3},
        {"first_today": True, "probability": 0.0, "score": 0.0, "most_per_day": 1000},
        {"species": list(SPECIES), "probability": 1.0, "score": 0.99},
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_every_message_is_the_one_of_a_plain_reading(
    tmp_path: Path, book: Notebook, rules: dict[str, Any], seed: int
) -> None:
    place = place_at(tmp_path, **rules)
    config = place.config.notify
    today = config.first_today if isinstance(config.first_today, tuple) else ()
    watch = watch_of(
        place,
        today=Names(labels=frozenset(today)),
        species=Names(labels=frozenset(config.species)),
    )
    events = made_up(seed)
    told = []
    for one in events:
        with book.transaction():
            verdict = tell_of(one, watch, book, now=one.end)
        if verdict in RULES:
            told.append((one.id, verdict))
    assert told == expected(events, config)
    keys = [row[0] for row in book.db.execute("SELECT key FROM messages ORDER BY number")]
    assert keys == [f"event/{id}" for id, _ in told]


def test_an_unsure_event_neither_wakes_anybody_nor_makes_a_species_known(
    tmp_path: Path, book: Notebook
) -> None:
    watch = watch_of(place_at(tmp_path))
    verdicts = [
        tell_of(one, watch, book, now=one.end)
        for one in (
            event(0, BEGIN, OWL, probability=0.6),
            event(1, BEGIN + timedelta(hours=1), OWL, probability=0.95),
            event(2, BEGIN + timedelta(hours=9), OWL, probability=0.95),
        )
    ]
    assert verdicts == ["no_rule", "first_ever", "no_rule"]


def test_species_go_by_any_name_that_an_event_has(tmp_path: Path, book: Notebook) -> None:
    place = place_at(tmp_path, first_ever=False, species=["x"], every_s=0.0)
    for number, name in enumerate(("little owl", "athene noctua", "little owl")):
        watch = watch_of(place, species=Names(others=frozenset({name})))
        one = event(number, BEGIN + timedelta(hours=number), OWL, probability=0.99)
        assert tell_of(one, watch, book, now=one.end) == "species"
    watch = watch_of(place, species=Names(others=frozenset({"tawny owl"})))
    assert tell_of(one, watch, book, now=one.end) == "no_rule"
