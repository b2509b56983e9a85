"""What is asked next, and what twenty answers say of a label."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.bundle.precision import wilson
from edge.page.answers import Answer
from edge.page.asking import ENOUGH, REASONS, next_question, precision_of
from edge.page.clips import ClipFolder
from edge.store.reading import reading
from tests.support.heard import heard_recorder
from tests.support.pages import page_of, seen, token_in

HERE = "http://localhost"
CLIPS = 14
ANSWER = Answer(
    event="",
    who="Ada",
    answered_utc="2026-05-03T15:30:00.000000Z",
    answer="right",
    label="",
    detected="great_tit",
    start_utc="",
    end_utc="",
    score=0.9,
    bundle="",
    config="",
    clip="",
    start_s=0.0,
    end_s=0.0,
    drawn="random",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    heard_recorder(folder, days=1, clips=CLIPS)
    return folder


def questions(folder: Path) -> Iterator[tuple[Answer, str]]:
    """Answer all that is asked."""
    dice, answers = random.Random(1), list[Answer]()
    while True:
        with reading(folder / "edge.db") as db:
            asked = next_question(db, answers, clips=ClipFolder(folder / "clips"), dice=dice)
        if asked is None:
            return
        event, why = asked
        answers.append(replace(ANSWER, event=event.id, detected=event.label or "", drawn=why))
        yield answers[-1], why


def test_each_event_with_a_sound_is_asked_once_and_every_other_is_drawn(folder: Path) -> None:
    asked = list(questions(folder))
    assert len({answer.event for answer, _ in asked}) == len(asked) == CLIPS
    reasons = Counter(why for _, why in asked)
    assert set(reasons) <= set(REASONS)
    assert abs(2 * reasons["random"] - CLIPS) <= 3
    drawn = Counter(answer.detected for answer, why in asked[:6] if why == "random")
    assert max(drawn.values()) == 1


def test_a_precision_is_of_drawn_events_and_has_its_interval() -> None:
    right = [replace(ANSWER, event=str(n)) for n in range(18)]
    wrong = [replace(ANSWER, event=str(n), answer="wrong") for n in range(18, ENOUGH)]
    chosen = [replace(ANSWER, event="x", drawn=""), replace(ANSWER, event="y", drawn="doubtful")]
    unsure = [replace(ANSWER, event="z", answer="unsure")]
    (found,) = precision_of([*right, *wrong, *chosen, *unsure])
    assert (found.right, found.events) == (18, 20)
    assert (found.low, found.high) == wilson(18, 20)


def test_people_who_differ_count_once_and_never_for_the_label() -> None:
    both = [replace(ANSWER, event="1"), replace(ANSWER, event="1", who="Bo", answer="noise")]
    named = replace(ANSWER, event="2", answer="is", label="great_tit")
    (found,) = precision_of([*both, named])
    assert (found.right, found.events) == (1, 2)


def test_the_page_asks_until_nothing_is_left_and_keeps_why(folder: Path) -> None:
    app, client = page_of(folder / "edge.yaml")
    answers = app.extensions["edge"].answers
    for _ in range(CLIPS):
        response = client.get("/next", base_url=HERE)
        path = response.headers["Location"].partition("?")
        page = client.get(response.headers["Location"], base_url=HERE).text
        form = {"token": token_in(page), "answer": "noise", "why": path[2].removeprefix("why=")}
        client.post(f"{path[0]}/answer", data=form, base_url=HERE)
        # Said again without its reason, it is still the one that was drawn.
        client.post(f"{path[0]}/answer", data={**form, "why": ""}, base_url=HERE)
    assert "Every event with a sound has an answer." in seen(client, "/next").texts
    assert {one.drawn for one in answers.all()} <= set(REASONS)
    assert sum(one.drawn == "random" for one in answers.all()) >= CLIPS // 2 - 1
    assert "How often the labels are right" in seen(client, "/answers").texts
    answers.close()
