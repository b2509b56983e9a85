"""Each view is a file, too: an event, a cluster, and all unknown sounds with their clusters."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from edge.page.app import Here
from edge.page.clustering import make_clusters
from edge.store.events import Question, select
from edge.store.reading import reading
from tests.support.heard import heard_recorder
from tests.support.pages import page_of, seen, token_in

HERE = "http://localhost"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    config = heard_recorder(folder, days=1, clips=8)
    (folder / "labels").mkdir()
    make_clusters(folder / "edge.db", folder / "labels" / "clusters.json")
    return config


@pytest.fixture
def page(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Here, FlaskClient]]:
    monkeypatch.setenv("STATE_DIRECTORY", str(config.parent))
    app, client = page_of(config)
    yield app.extensions["edge"], client
    app.extensions["edge"].late_clips.wait()
    app.extensions["edge"].answers.close()


def table(client: FlaskClient, path: str) -> list[dict[str, str]]:
    response = client.get(path, base_url=HERE, buffered=True)
    assert response.status_code == 200
    assert response.headers["Content-Disposition"].startswith("attachment; filename")
    return list(csv.DictReader(response.text.splitlines()))


def test_every_page_of_a_view_leads_to_its_files(page: tuple[Here, FlaskClient]) -> None:
    here, client = page
    made = here.clusters.clusters()
    assert made is not None
    event = made.clusters[0].members[0]
    paths = ["/", "/species", "/species/great_tit", "/unknowns", "/answers", "/health"]
    for path in (*paths, f"/unknowns/{made.clusters[0].number}", f"/event/{event}"):
        files = [v for v in seen(client, path).values("href") if v.partition("?")[0][-4:] == ".csv"]
        assert files, path
        for file in files:
            assert table(client, file) is not None


def test_an_event_and_a_cluster_are_tables_of_events(page: tuple[Here, FlaskClient]) -> None:
    here, client = page
    made = here.clusters.clusters()
    assert made is not None
    cluster = max(made.clusters, key=lambda one: len(one.members))
    rows = table(client, f"/unknowns/{cluster.number}.csv")
    assert [row["id"] for row in rows] == list(cluster.members)
    (row,) = table(client, f"/event/{cluster.members[0]}.csv")
    assert row == rows[0]
    line = client.get(f"/event/{cluster.members[0]}.jsonl", base_url=HERE, buffered=True).text
    assert json.loads(line)["id"] == cluster.members[0]
    for path in ("/unknowns/999.csv", "/event/none.csv", "/unknowns.raven", "/event/none.xml"):
        assert client.get(path, base_url=HERE).status_code == 404


def test_all_unknown_sounds_are_rows_with_their_cluster_and_what_was_said(
    page: tuple[Here, FlaskClient], config: Path
) -> None:
    here, client = page
    made = here.clusters.clusters()
    assert made is not None
    with reading(config.with_name("edge.db")) as db:
        unknown = [e.id for e in select(db, Question(unknown=True), newest_first=True)]
    for who, label in (("Ada", "Eagle Owl"), ("Bo", "=crow")):
        token = token_in(client.get(f"/event/{unknown[0]}", base_url=HERE).text)
        form = {"token": token, "answer": "is", "label": label, "who": who}
        client.post(f"/event/{unknown[0]}/answer", data=form, base_url=HERE)
    rows = table(client, "/unknowns.csv")
    assert [row["id"] for row in rows] == unknown
    for row in rows:
        cluster = made.of_event.get(row["id"])
        place = ("", "") if cluster is None else (
            str(cluster.number), str(cluster.members.index(row["id"]) + 1)
        )  # fmt: skip
        assert (row["cluster"], row["place_in_cluster"]) == place
    assert rows[0]["said"].startswith("eagle_owl")
    assert {row["said"] for row in rows[1:]} == {""}
    shutil.rmtree(here.place.labels.parent / "clips", ignore_errors=True)
