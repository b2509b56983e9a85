"""The page's unknown sounds: their clusters, and one answer for all of a cluster."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from edge.cli import main
from edge.page.answers import LAYOUT
from edge.page.app import Here
from edge.page.asking import next_question, precision_of
from edge.page.clustering import make_clusters
from edge.page.clusters import Cluster, Clusters, numbered, write_clusters
from edge.store.embedded import newest_id
from edge.store.reading import reading
from tests.support.heard import UNKNOWN_KINDS, heard_recorder
from tests.support.pages import page_of, seen, token_in
from train.adapting.answered import read_answers

HERE = "http://localhost"
LIST = "/unknowns"


class Page:
    """The page of a recorder whose unknown events have been grouped, without any answer."""

    def __init__(self, config: Path, app: Flask, client: FlaskClient) -> None:
        self.config, self.client = config, client
        self.here: Here = app.extensions["edge"]
        self.file = self.here.place.labels.with_name("clusters.json")

    @property
    def made(self) -> Clusters:
        made = self.here.clusters.clusters()
        assert made is not None
        return made

    @property
    def largest(self) -> Cluster:
        return max(self.made.clusters, key=lambda one: len(one.members))

    def regroup(self, *found: tuple[str, ...]) -> None:
        """Have others made of the same events."""
        clusters, following = numbered(found, self.made)
        made = Clusters(
            clusters=clusters,
            alone=(),
            next_number=following,
            newest=self.made.newest,
            made_utc=self.made.made_utc,
        )
        write_clusters(self.file, made)

    def say(
        self, number: int, answer: str, who: str = "Ada", label: str = "", seen: str = ""
    ) -> int:
        text = self.client.get(f"{LIST}/{number}", base_url=HERE).text
        digest = seen or self.made.by_number[number].digest
        form = {"token": token_in(text), "answer": answer, "who": who, "label": label}
        path = f"{LIST}/{number}/answer"
        data = {**form, "seen": digest}
        status = self.client.post(path, data=data, base_url=HERE).status_code
        self.here.late_clips.wait()
        return status

    def say_of_one(self, id: str, answer: str, who: str = "Ada", label: str = "") -> None:
        token = token_in(self.client.get(f"/event/{id}", base_url=HERE).text)
        form = {"token": token, "answer": answer, "who": who, "label": label}
        assert self.client.post(f"/event/{id}/answer", data=form, base_url=HERE).status_code == 303

    def said(self) -> dict[str, str]:
        return {one.event: one.label or one.answer for one in self.here.answers.all()}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    config = heard_recorder(folder, days=2, clips=60)
    make_clusters(folder / "edge.db", folder / "made.json")
    return config


@pytest.fixture
def page(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    folder = config.parent
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    shutil.rmtree(folder / "labels", ignore_errors=True)
    (folder / "labels").mkdir()
    shutil.copy(folder / "made.json", folder / "labels" / "clusters.json")
    made = Page(config, *page_of(config))
    yield made
    made.here.late_clips.wait()
    made.here.answers.close()


def test_each_cluster_is_a_row_with_its_best_examples(page: Page) -> None:
    shown = seen(page.client, LIST)
    links = [v for v in shown.values("href") if v.startswith(f"{LIST}/") and "?" not in v]
    assert len(links) == len(page.made.clusters) == UNKNOWN_KINDS
    pictures = [v for v in shown.values("src") if v.endswith("spectrogram.png")]
    sounds = [v for v in shown.values("href") if v.endswith("/sound")]
    assert [v.split("/")[2] for v in pictures] == [v.split("/")[2] for v in sounds]
    assert {v.split("/")[2] for v in pictures} <= set(page.made.of_event)
    alone = [e for e in page.made.alone if f"/event/{e}" in shown.values("href")]
    assert set(alone) == set(page.made.alone)
    assert f"By themselves: {len(page.made.alone)}" in shown.texts


def test_a_cluster_has_all_of_its_members(page: Page) -> None:
    cluster = page.largest
    shown = seen(page.client, f"{LIST}/{cluster.number}")
    links = [v.removeprefix("/event/") for v in shown.values("href") if v.startswith("/event/")]
    assert [id for id in links if "/" not in id] == list(cluster.members)
    event = seen(page.client, f"/event/{cluster.members[0]}")
    assert f"{LIST}/{cluster.number}" in event.values("href")


@pytest.mark.parametrize(
    ("answer", "label", "kept"),
    [("is", "Eagle Owl", "eagle_owl"), ("animal", "", "animal"), ("noise", "", "noise")],
)
def test_one_answer_is_one_for_each_of_them(page: Page, answer: str, label: str, kept: str) -> None:
    cluster = page.largest
    assert page.say(cluster.number, answer, label=label) == 303
    assert page.said() == dict.fromkeys(cluster.members, kept)
    assert {one.cluster for one in page.here.answers.all()} == {str(cluster.number)}
    text = page.client.get(f"{LIST}/{cluster.number}?said={answer}&count=9", base_url=HERE).text
    assert "Kept for 9 events" in text
    lines = [text for text in seen(page.client, "/answers").texts if "of cluster" in text]
    assert lines == [f"({len(cluster.members)} of cluster {cluster.number})"]


def test_answering_again_takes_its_place_and_what_was_said_of_one_stays(page: Page) -> None:
    cluster = page.largest
    first, second, *others = cluster.members
    page.say_of_one(first, "noise")
    page.say(cluster.number, "is", label="owl")
    page.say_of_one(second, "unsure")
    page.say(cluster.number, "animal")
    page.say(cluster.number, "is", "Bo", label="crow")
    of_ada = {one.event: one.answer for one in page.here.answers.all() if one.who == "Ada"}
    assert of_ada == {first: "noise", second: "unsure", **dict.fromkeys(others, "animal")}
    page.say(cluster.number, "withdrawn")
    of_ada = {one.event: one.answer for one in page.here.answers.all() if one.who == "Ada"}
    assert of_ada == {first: "noise", second: "unsure"}
    of_bo = [one for one in page.here.answers.all() if one.who == "Bo"]
    assert len(of_bo) == len(cluster.members)


def test_only_what_was_looked_at_is_answered(page: Page) -> None:
    cluster = page.largest
    other = next(one for one in page.made.clusters if one != cluster)
    page.regroup((*cluster.members, *other.members))
    assert page.say(cluster.number, "noise", seen=cluster.digest) == 303
    assert page.said() == {}
    text = page.client.get(f"{LIST}/{cluster.number}?changed=1", base_url=HERE).text
    assert "Nothing was kept" in text
    gone = f"{LIST}/{other.number}"
    assert "There is no such cluster now" in " ".join(seen(page.client, gone, 404).texts)
    assert page.say(cluster.number, "noise") == 303
    assert len(page.said()) == len(cluster.members) + len(other.members)


@pytest.mark.parametrize(
    ("answer", "label"), [("right", ""), ("wrong", ""), ("maybe", ""), ("is", ""), ("is", "../x")]
)
def test_what_says_nothing_is_refused_and_nothing_is_kept(
    page: Page, answer: str, label: str
) -> None:
    assert page.say(page.largest.number, answer, label=label) == 400
    assert page.said() == {}


def test_without_a_token_nothing_is_answered(page: Page) -> None:
    cluster = page.largest
    form = {"answer": "noise", "seen": cluster.digest}
    path = f"{LIST}/{cluster.number}/answer"
    assert page.client.post(path, data=form, base_url=HERE).status_code == 400
    assert page.said() == {}


def test_the_trainer_reads_them_as_they_are(page: Page, tmp_path: Path) -> None:
    cluster = page.largest
    page.say(cluster.number, "is", label="Eagle Owl")
    table = tmp_path / "out" / "answers.csv"
    table.parent.mkdir()
    command = ["labels", "export", "--config", str(page.config), "--out", str(table), "--copy"]
    assert CliRunner().invoke(main, command).exit_code == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} <= set(cluster.members)
    assert {row["cluster"] for row in rows} == {str(cluster.number)}
    read = read_answers(table)
    assert len(read) == len(rows) >= 3
    assert {(one.detected, one.label) for one in read} == {("", "eagle_owl")}
    assert precision_of(page.here.answers.all()) == []


def test_the_most_typical_of_a_large_cluster_is_asked_for_once(page: Page) -> None:
    asked = []
    for _ in range(3 * UNKNOWN_KINDS):
        with reading(page.here.place.store) as db:
            found = next_question(
                db,
                page.here.answers.all(),
                clips=page.here.place.clips,
                clusters=page.made.clusters,
            )
        assert found is not None
        event, why = found
        asked.append((event.id, why))
        path = f"/event/{event.id}"
        token = token_in(page.client.get(path, base_url=HERE).text)
        form = {"token": token, "answer": "noise", "why": why}
        page.client.post(f"{path}/answer", data=form, base_url=HERE)
    typical = [id for id, why in asked if why == "typical"]
    of = [page.made.of_event[id].number for id in typical]
    assert len(set(of)) == len(of) >= 2
    assert of[0] == page.largest.number
    assert "unknown" not in [why for _, why in asked[: asked.index((typical[-1], "typical"))]]


def test_answers_to_a_cluster_do_not_keep_others_from_being_drawn(page: Page) -> None:
    page.say(page.largest.number, "noise")
    with reading(page.here.place.store) as db:
        found = next_question(db, page.here.answers.all(), clips=page.here.place.clips)
    assert found is not None
    assert found[1] == "random"
    token = token_in(page.client.get(f"/event/{found[0].id}", base_url=HERE).text)
    form = {"token": token, "answer": "right", "why": "random"}
    page.client.post(f"/event/{found[0].id}/answer", data=form, base_url=HERE)
    with reading(page.here.place.store) as db:
        found = next_question(db, page.here.answers.all(), clips=page.here.place.clips)
    assert found is not None
    assert found[1] != "random"


def test_before_there_are_clusters_all_are_listed(page: Page) -> None:
    page.file.unlink()
    shown = seen(page.client, LIST)
    assert any(text.startswith("The newest: ") for text in shown.texts)
    assert "They are being grouped by likeness" in " ".join(shown.texts)


def test_members_that_the_store_has_given_up_are_gone(page: Page) -> None:
    cluster = page.largest
    page.regroup(("0" * 32, *cluster.members[1:]))
    cluster = page.largest
    shown = seen(page.client, f"{LIST}/{cluster.number}")
    assert f"/event/{cluster.members[0]}" not in shown.values("href")
    assert page.say(cluster.number, "noise") == 303
    assert set(page.said()) == set(cluster.members[1:])


def test_answers_of_before_there_were_clusters_are_read(page: Page) -> None:
    path = page.here.place.labels
    before = LAYOUT.tables.replace(",\n    cluster TEXT NOT NULL DEFAULT ''", "")
    with sqlite3.connect(path) as db:
        db.executescript(f"{before} PRAGMA user_version = 1;")
    db.close()
    page.say(page.largest.number, "noise")
    assert len(page.said()) == len(page.largest.members)
    assert not list(path.parent.glob("*.damaged-*"))


def test_nothing_is_to_do_while_nothing_is_new(page: Page) -> None:
    with reading(page.here.place.store) as db:
        newest = newest_id(db)
    assert page.made.newest == newest
    assert "being grouped" not in " ".join(seen(page.client, LIST).texts)
