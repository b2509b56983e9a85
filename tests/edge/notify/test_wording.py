"""What a person reads, and what no label of a stranger can make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.notify.plain import plain
from edge.notify.wording import fault_words, words_of
from edge.page.place import Place
from edge.store.events import StoredEvent, event_of
from edge.store.payloads import written
from tests.support.store import payload
from tests.support.telling import place_at

AT = datetime(2026, 5, 3, 5, 12, 4, tzinfo=timezone.utc)


def owl() -> StoredEvent:
    found = event_of(
        1,
        written(
            payload(
                1,
                label="little_owl",
                common_name="Little Owl",
                scientific_name="Athene noctua",
                score=0.931,
                probability=0.874,
                start_utc=AT.isoformat(),
                end_utc=(AT + timedelta(seconds=3.2)).isoformat(),
            )
        ),
    )
    assert found is not None
    return found


def test_a_message_says_what_where_when_and_how_sure(tmp_path: Path) -> None:
    place = place_at(tmp_path, page="https://pond.example:9619/")
    words = words_of(owl(), "first_ever", place)
    assert words.title == "Little Owl: first ever at Mill pond"
    assert words.body == (
        "Little Owl (Athene noctua), first ever at Mill pond.\n"
        "2026-05-03 05:12:04 UTC, 3.2 s long; 87 % likely right, score 0.93.\n"
        f"https://pond.example:9619/event/{owl().id}"
    )
    assert words.line == "05:12 Little Owl"


def test_a_fault_says_since_when_and_what_to_do(tmp_path: Path) -> None:
    place = place_at(tmp_path)
    later = AT + timedelta(hours=2, minutes=5)
    begun = fault_words("microphone", over=False, since=AT, now=AT, place=place)
    over = fault_words("microphone", over=True, since=AT, now=later, place=place)
    assert begun.title == "Mill pond: no sound from the microphone"
    assert begun.body.startswith(f"{begun.title}, since 2026-05-03 05:12 UTC. Is it plugged in")
    assert over.body == "Mill pond: the microphone gives sound again, after 2 h 5 min."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Cetti's Warbler", "Cetti's Warbler"),
        ("St. Kilda wren (T. t. hirtensis)", "St. Kilda wren (T. t. hirtensis)"),
        ("Große Rohrdommel, 鷺", "Große Rohrdommel, 鷺"),
        ("little_owl", "little owl"),
        ("[Owl](https://evil.example/x)", "Owl (https evil. example x)"),
        ("<b>@everyone</b> :smile: #1 `x` *y* ~z~ |t|", "b everyone b smile 1 x y z t"),
        ("evil.example", "evil. example"),
        ("Owl\r\nBcc: a@b.example", "Owl Bcc a b. example"),
        ("- 1. Owl", "1. Owl"),
        ("\u202eowl\u200b", "owl"),
        ("${HOME} %s {0} \\n", "HOME s 0 n"),
        ("<>", ""),
    ],
)
def test_a_name_is_nothing_but_a_name(text: str, name: str) -> None:
    assert plain(text) == name


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_no_text_is_more_than_words(text: str) -> None:
    name = plain(text)
    assert len(name) <= 80
    assert not set(name) & set('<>&[]{}*_~`|#@:/\\!$%^=+"?;\r\n\t\0')
    assert "." not in "".join(part[:-1] for part in name.split())
    assert plain(name) == name


@given(st.text(max_size=60), st.text(min_size=1, max_size=60).filter(str.isprintable))
@settings(max_examples=100)
def test_whatever_an_event_says_the_message_has_its_lines(name: str, id: str) -> None:
    place = PLACES[0]
    event = replace(owl(), common_name=name, scientific_name=name, id=id)
    words = words_of(event, "species", place)
    assert words.title.isprintable()
    assert len(words.body.splitlines()) == 3
    link = words.body.splitlines()[2].removeprefix("https://pond.example/event/")
    assert link.isascii()
    assert not set(link) & set("/?#<>&\"' ")


PLACES: list[Place] = []


@pytest.fixture(autouse=True, scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> None:
    PLACES.append(place_at(tmp_path_factory.mktemp("pond"), page="https://pond.example"))
