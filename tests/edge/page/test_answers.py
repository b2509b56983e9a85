"""What people say of events: kept, shown, and read by what teaches a head."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from edge.cli import main
from edge.page.app import Here
from edge.store.events import Question, StoredEvent, select
from edge.store.reading import reading
from tests.support.heard import heard_recorder
from tests.support.pages import page_of, seen, token_in
from train.adapting.answered import read_answers

HERE = "http://localhost"


class Page:
    """The page of a recorder, and what a person does there."""

    def __init__(self, config: Path, app: Flask, client: FlaskClient) -> None:
        self.config, self.client = config, client
        self.here: Here = app.extensions["edge"]
        with reading(config.with_name("edge.db")) as db:
            self.events = list(select(db, Question(), newest_first=True, limit=12))

    def first(self, *, unknown: bool = False, but: int = 0) -> StoredEvent:
        return [e for e in self.events if (e.label is None) == unknown][but]

    def say(self, event: StoredEvent, answer: str, who: str = "Ada", label: str = "") -> int:
        token = token_in(self.client.get(f"/event/{event.id}", base_url=HERE).text)
        form = {"token": token, "answer": answer, "who": who, "label": label}
        path = f"/event/{event.id}/answer"
        return self.client.post(path, data=form, base_url=HERE).status_code

    def export(self, *more: str) -> str:
        command = ["labels", "export", "--config", str(self.config), *more]
        done = CliRunner().invoke(main, command, env={"STATE_DIRECTORY": str(self.config.parent)})
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    config = heard_recorder(tmp_path, days=1, clips=12)
    made = Page(config, *page_of(config))
    yield made
    made.here.answers.close()


def test_an_answer_is_kept_with_who_when_and_what_ran(page: Page) -> None:
    event = page.first()
    assert page.say(event, "right") == 303
    (answer,) = page.here.answers.of(event.id)
    assert (answer.answer, answer.who, answer.detected) == ("right", "Ada", event.label)
    assert answer.answered_utc == "2026-05-03T15:30:00.000000Z"
    assert (answer.bundle, answer.config) == (event.text("bundle"), event.text("config"))
    assert (answer.start_s, answer.end_s) == (2.0, 5.0)
    assert "Right" in seen(page.client, f"/event/{event.id}").texts


def test_a_later_answer_takes_the_place_of_the_same_persons_and_of_nobody_elses(
    page: Page,
) -> None:
    event = page.first()
    for answer, who in (("right", "Ada"), ("noise", "Bo"), ("wrong", "Ada")):
        page.say(event, answer, who)
    said = {one.who: one.answer for one in page.here.answers.of(event.id)}
    assert said == {"Ada": "wrong", "Bo": "noise"}
    page.say(event, "withdrawn", "Bo")
    assert [one.who for one in page.here.answers.of(event.id)] == ["Ada"]


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("Little Owl", "little_owl"),
        ("little_owl", "little_owl"),
        ("LITTLE  OWL", "little_owl"),
        ("Eagle Owl", "eagle_owl"),
    ],
)
def test_a_name_is_completed_to_its_label(page: Page, typed: str, label: str) -> None:
    event = page.first(unknown=True)
    assert page.say(event, "is", label=typed) == 303
    assert page.here.answers.of(event.id)[0].label == label


@pytest.mark.parametrize(("answer", "label"), [("is", ""), ("is", "../x"), ("maybe", ""), ("", "")])
def test_what_says_nothing_is_refused(page: Page, answer: str, label: str) -> None:
    assert page.say(page.first(), answer, label=label) == 400
    assert list(page.here.answers.all()) == []


def test_an_unknown_sound_is_neither_right_nor_wrong(page: Page) -> None:
    event = page.first(unknown=True)
    assert [page.say(event, answer) for answer in ("right", "wrong", "animal")] == [400, 400, 303]


def test_what_teaches_is_read_by_the_trainer_as_it_is(page: Page, tmp_path: Path) -> None:
    known = [page.first(but=i) for i in range(5)]
    page.say(known[0], "right")
    page.say(known[1], "wrong", "")
    page.say(known[2], "is", label="Eagle Owl")
    page.say(known[3], "noise", "=Bo")
    page.say(known[4], "unsure")
    page.say(page.first(unknown=True), "animal")
    table = tmp_path / "out" / "answers.csv"
    table.parent.mkdir()
    page.export("--out", str(table), "--copy")
    for path in (tmp_path / "clips").rglob("*.flac"):
        path.unlink()  # as the recorder does when it needs the room
    read = read_answers(table)
    assert [(one.detected, one.label, one.denied, one.noise) for one in read] == [
        (known[0].label, known[0].label, "", False),
        (known[1].label, "", known[1].label, False),
        (known[2].label, "eagle_owl", known[2].label, False),
        (known[3].label, "", known[3].label, True),
        ("", "", "", False),
    ]
    assert all(one.path.is_relative_to(table.parent) for one in read)
    assert {soundfile.info(one.path).duration for one in read} == {7.0}
    lines = tmp_path / "answers.jsonl"
    page.export("--format", "jsonl", "--out", str(lines))
    assert [one.label for one in read_answers(lines)] == [one.label for one in read]


def test_what_people_differ_about_teaches_nothing(page: Page, tmp_path: Path) -> None:
    first, second, third = (page.first(but=i) for i in range(3))
    for event, answers in (
        (first, ("right", "noise")),
        (second, ("wrong", "is")),
        (third, ("right", "right")),
    ):
        for who, answer in zip(("Ada", "Bo"), answers, strict=True):
            page.say(event, answer, who, label="Eagle Owl")
    table = tmp_path / "answers.csv"
    page.export("--out", str(table))
    read = read_answers(table)
    assert [one.given for one in read] == ["wrong", "eagle_owl", "right", "right"]
    assert "differ about 1 event," in " ".join(seen(page.client, "/answers").texts)


def test_all_that_was_said_is_a_table_and_a_selection_table(page: Page) -> None:
    page.say(page.first(), "unsure")
    page.say(page.first(but=1), "right")
    rows = list(csv.DictReader(page.export("--format", "csv").splitlines()))
    assert [row["answer"] for row in rows] == ["unsure", "right"]
    raven = page.export("--format", "raven").splitlines()
    selections = list(csv.DictReader(raven, delimiter="\t"))
    assert [row["Annotation"] for row in selections] == ["unsure", page.first(but=1).label]
    assert all(Path(row["Begin Path"]).is_file() for row in selections)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_keeps_belongs_to_the_service(page: Page) -> None:
    os.chown(page.config.parent, 65_534, 65_534)
    page.say(page.first(), "right")
    folder = page.here.place.labels.parent
    kept = [folder, page.here.place.labels, *(folder / "clips").rglob("*")]
    assert len(kept) > 3
    assert {path.stat().st_uid for path in kept} == {65_534}


def test_an_event_without_a_clip_has_an_answer_that_teaches_nothing(page: Page) -> None:
    event = page.first()
    (page.config.with_name("clips") / str(event.clip)).unlink()
    assert page.say(event, "right") == 303
    assert page.export().splitlines()[1:] == []


@pytest.mark.parametrize("way", ["command", "page"])
def test_who_answers_before_the_clip_is_written_teaches_all_the_same(page: Page, way: str) -> None:
    event = page.first()
    clip = page.config.with_name("clips") / str(event.clip)
    away = clip.rename(clip.with_suffix(".part"))
    page.say(event, "right")
    page.say(event, "right", "Bo")
    away.rename(clip)
    page.say(event, "right", "Cleo")
    if way == "page":
        text = page.client.get("/answers.manifest", base_url=HERE, buffered=True).text
    else:
        text = page.export()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["who"] for row in rows] == ["Ada", "Bo", "Cleo"]
    assert {(row["start_s"], row["end_s"]) for row in rows} == {("2.0", "5.0")}
    assert all(Path(row["path"]).is_file() for row in rows)


def test_damage_to_the_answers_costs_what_was_said_before_and_nothing_else(page: Page) -> None:
    page.say(page.first(), "right")
    page.here.answers.close()
    path = page.here.place.labels
    path.write_bytes(b"nothing" * 1000)
    assert page.say(page.first(), "wrong") == 303
    assert [one.answer for one in page.here.answers.all()] == ["wrong"]
    assert list(path.parent.glob("labels.db.damaged-*"))


def test_the_answers_are_a_database_that_others_read(page: Page) -> None:
    page.say(page.first(), "right")
    with sqlite3.connect(f"file:{page.here.place.labels}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT json_object('answer', answer) FROM answers").fetchall()
    db.close()
    assert [json.loads(text) for (text,) in rows] == [{"answer": "right"}]
