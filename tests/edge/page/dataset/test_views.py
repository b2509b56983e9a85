"""What each view shows of a dataset: its sites in their own time, and nothing that is not known."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from edge.bundle import Bundle
from edge.page.dataset.following import Follower
from edge.page.dataset.index import DatasetIndex
from edge.store.lock import sole_user
from tests.support.archives import rows
from tests.support.labs import hear, lab_of, page_over, places_of, recorded
from tests.support.pages import Seen, seen

HERE = "http://localhost"


@pytest.fixture(scope="module")
def client(dataset: Path, season: Path) -> FlaskClient:
    return page_over(dataset, season)


def text_of(page: Seen) -> str:
    return " ".join(" ".join(page.texts).split())


def links(page: Seen, begin: str) -> list[str]:
    return [href for href in page.values("href") if href.startswith(begin)]


def at(dataset: Path, site: str, start_utc: str) -> list[str]:
    """Ids of the detections at a site in a recording, the last first."""
    found = [
        row
        for row in rows(dataset, "detections")
        if row["site"] == site and str(row["start_utc"]).startswith(start_utc)
    ]
    return [row["id"] for row in sorted(found, key=lambda row: row["start_s"], reverse=True)]


def test_it_begins_with_the_last_day_of_sound_and_leads_over_gaps(client: FlaskClient) -> None:
    page = seen(client, "/?site=pond")
    assert "Last day with sound, Monday 20 May 2024" in text_of(page)
    assert links(page, "/day/2024-05-02?") == ["/day/2024-05-02?site=pond"]
    assert "Listening" not in text_of(page)
    page = seen(client, "/day/2024-05-10?site=pond")  # between
    assert "/day/2024-05-02?site=pond" in page.values("href")
    assert "/day/2024-05-20?site=pond" in page.values("href")
    assert "there is no recording, or none with sound" in text_of(page)
    page = seen(client, "/day/2024-05-01?site=pond")
    assert "/day/2024-05-02?site=pond" in page.values("href")
    assert ("a", "rel", "prev") not in page.attributes


def test_a_day_of_a_site_is_one_of_its_own_zone(dataset: Path, client: FlaskClient) -> None:
    page = seen(client, "/day/2024-05-01?site=pond")
    found = at(dataset, "pond", "2024-05-01 21:00")
    assert links(page, "/event/") == [f"/event/{id}?site=pond" for id in found]
    assert any(text.startswith("23:00:") for text in page.texts)
    assert "times: UTC+02:00" in text_of(page)
    page = seen(client, "/?site=bush")
    assert "Thursday 2 May 2024" in text_of(page)  # on 1 May, 22:00 UTC
    assert any(text.startswith("08:00:") for text in page.texts)
    assert links(page, "/event/") == [
        f"/event/{id}?site=bush" for id in at(dataset, "bush", "2024-05-01 22:00")
    ]


def test_all_sites_together_are_in_utc_where_their_zones_differ(
    dataset: Path, client: FlaskClient
) -> None:
    page = seen(client, "/day/2024-05-01")
    found = at(dataset, "bush", "2024-05-01 22:00") + at(dataset, "pond", "2024-05-01 21:00")
    assert links(page, "/event/") == [f"/event/{id}" for id in found]
    assert "times: UTC: the sites have different time zones" in text_of(page)
    assert "hours, all sites together" in text_of(page)
    # An event is looked at in the time of its place.
    event = seen(client, f"/event/{found[0]}")
    assert any(text.startswith("2024-05-02 08:00:") for text in event.texts)
    beside = {href.split("/")[2].partition(".")[0] for href in links(event, "/event/")}
    assert beside <= {row["id"] for row in rows(dataset, "detections") if row["site"] == "bush"}


def test_every_view_of_a_site_has_that_site_only(dataset: Path, client: FlaskClient) -> None:
    heard = {row["label"] for row in rows(dataset, "detections") if row["site"] == "bush"}
    table = client.get("/species.csv?site=bush", base_url=HERE).text.splitlines()
    assert {row["label"] or None for row in csv.DictReader(table)} == heard
    lines = client.get("/day/2024-05-02.jsonl?site=bush", base_url=HERE, buffered=True).text
    assert {json.loads(line)["site"] for line in lines.splitlines()} == {"bush"}
    assert len(lines.splitlines()) == len(at(dataset, "bush", "2024-05-01 22:00"))
    page = seen(client, "/species/low_hummer?site=bush&days=30")
    assert all("site=bush" in href for href in links(page, "/event/"))
    assert seen(client, "/day/2024-05-02?site=nowhere", 404).texts


def test_a_file_of_a_day_names_the_recordings_and_opens_none(
    dataset: Path, client: FlaskClient
) -> None:
    lines = client.get("/day/2024-05-20.csv?site=pond", base_url=HERE, buffered=True).text
    found = {row["id"]: row for row in rows(dataset, "detections")}
    table = list(csv.DictReader(lines.splitlines()))
    assert len(table) == len(at(dataset, "pond", "2024-05-20"))
    for row in table:
        own = found[row["id"]]
        assert row["file"] == own["path"]
        assert float(row["start_s"]) == pytest.approx(own["start_s"], abs=1e-3)
        assert row["start_local"].startswith("2024-05-20T04:00:")
        assert (row["clock_source"], row["bundle"]) == ("guano", own["bundle"])
        assert float(row["recording_judged_s"]) > 10
    raven = client.get("/day/2024-05-20.raven?site=pond", base_url=HERE, buffered=True).text
    selections = list(csv.DictReader(raven.splitlines(), delimiter="\t"))
    assert [s["Begin Path"] for s in selections] == [row["file"] for row in table]
    assert [float(s["Begin Time (s)"]) for s in selections] == pytest.approx(
        [float(row["start_s"]) for row in table], abs=1e-3
    )


def test_what_has_no_date_is_on_no_day(dataset: Path, client: FlaskClient) -> None:
    shelf = [row for row in rows(dataset, "detections") if row["site"] == "shelf"]
    assert shelf
    assert {row["clock_source"] for row in shelf} == {"mtime"}
    page = seen(client, "/undated")
    assert links(page, "/event/") == [f"/event/{row['id']}" for row in shelf]
    assert shelf[0]["path"] in page.texts
    assert f"+0:00:{int(shelf[1]['start_s']):02}" in page.texts
    assert "1 recording without a date" in text_of(seen(client, "/"))
    day = shelf[0]["start_utc"].date().isoformat()
    for path in ("/", f"/day/{day}"):
        events = links(seen(client, path), "/event/")
        assert not {row["id"] for row in shelf} & {href.rpartition("/")[2] for href in events}
    page = seen(client, f"/event/{shelf[0]['id']}")
    assert "not known" in text_of(page)
    assert "there is only the time of the file" in text_of(page)
    assert not any(name == "datetime" and "1000" in value for _, name, value in page.attributes)


@pytest.mark.parametrize(
    "path",
    [
        *("/species", "/species.csv", "/undated", "/health", "/?site=shelf", "/answers"),
        *("/undated.csv", "/undated.raven", "/undated.jsonl", "/species/low_hummer"),
        "/event/{undated}",
    ],
)
def test_the_time_that_stands_for_no_date_is_never_shown(
    dataset: Path, client: FlaskClient, path: str
) -> None:
    undated = next(row["id"] for row in rows(dataset, "detections") if row["site"] == "shelf")
    page = client.get(path.format(undated=undated), base_url=HERE, buffered=True)
    assert page.status_code in (200, 302)
    assert "1000-" not in page.text


def test_files_of_what_has_no_date_say_where_in_the_recording(
    dataset: Path, client: FlaskClient
) -> None:
    shelf = {r["id"]: r for r in rows(dataset, "detections") if r["site"] == "shelf"}
    text = client.get("/undated.csv", base_url=HERE, buffered=True).text
    table = list(csv.DictReader(text.splitlines()))
    assert {row["id"] for row in table} == set(shelf)
    for row in table:
        assert (row["start_utc"], row["end_utc"], row["start_local"]) == ("", "", "")
        assert float(row["start_s"]) == pytest.approx(shelf[row["id"]]["start_s"], abs=1e-3)
    text = client.get("/undated.jsonl", base_url=HERE, buffered=True).text
    assert {json.loads(line)["start_utc"] for line in text.splitlines()} == {None}


def test_recordings_that_were_not_heard_or_not_whole_are_listed(
    bundle: Bundle, tmp_path: Path
) -> None:
    season = tmp_path / "season"
    path = recorded(season / "pond" / "20240501_050000.wav")
    path.write_bytes(path.read_bytes()[:150_000])
    hear(bundle, tmp_path / "dataset", season)
    client = page_over(tmp_path / "dataset", season)
    text = text_of(seen(client, "/health"))
    (row,) = rows(tmp_path / "dataset", "files")
    assert row["missing_s"] > 5
    assert f"Not heard, or not whole: 1 Recording Site State Missing Why {path}" in text
    assert f"{row['missing_s']:.1f} s" in text
    table = client.get("/health.csv", base_url=HERE).text.splitlines()
    assert [row["path"] for row in csv.DictReader(table)] == [str(path)]


def test_who_fills_a_dataset_is_said(dataset: Path, client: FlaskClient) -> None:
    assert "being filled by" not in text_of(seen(client, "/health"))
    with sole_user(dataset / "job"):
        assert f"being filled by the process {os.getpid()}" in text_of(seen(client, "/health"))


def test_the_page_follows_a_dataset_that_is_filled(bundle: Bundle, tmp_path: Path) -> None:
    season, dataset = tmp_path / "season", tmp_path / "dataset"
    recorded(season / "20240501_050000.wav")
    hear(bundle, dataset, season)
    client = page_over(dataset, season)
    assert "Wednesday 1 May 2024" in text_of(seen(client, "/"))
    index = places_of(dataset).index
    follower = Follower(dataset, index, look_s=0.05)
    follower.start()
    try:
        recorded(season / "20240503_050000.wav", roll_s=2)
        hear(bundle, dataset, season)
        wanted, until = len(rows(dataset, "detections")), time.monotonic() + 20
        while count(index) < wanted and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        follower.stop()
    assert "Friday 3 May 2024" in text_of(seen(client, "/"))
    assert follower.fault == ""


def count(index: Path) -> int:
    with DatasetIndex(index).reading() as db:
        return int(db.execute("SELECT count(*) FROM latest").fetchone()[0])


def test_a_dataset_that_goes_away_is_said_and_what_was_read_stays(
    bundle: Bundle, tmp_path: Path
) -> None:
    season, dataset = tmp_path / "season", tmp_path / "dataset"
    recorded(season / "20240501_050000.wav")
    hear(bundle, dataset, season)
    client = page_over(dataset, season)
    lab = client.application.extensions["edge.lab"]
    dataset.rename(tmp_path / "away")
    lab.follower.fault = "it is not there"  # as the follower says it
    page = seen(client, "/")
    assert "What is shown may be older than the dataset: it is not there" in text_of(page)
    assert "Wednesday 1 May 2024" in text_of(page)
    assert seen(client, "/health").texts


def test_an_index_that_goes_away_is_a_sentence(dataset: Path, tmp_path: Path) -> None:
    lab = lab_of(dataset)
    client = page_over(dataset)
    away = lab.index.path.rename(tmp_path / "away.db")
    try:
        assert "cannot be read now" in text_of(seen(client, "/", 503))
    finally:
        away.rename(lab.index.path)
