"""What each page shows, and what no page may have."""

from __future__ import annotations

import io
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient

from edge.page.pictures import HEIGHT, WIDTH, Pictures, picture
from edge.store.events import Question, StoredEvent, select
from edge.store.reading import reading
from tests.support.heard import heard_recorder
from tests.support.pages import page_of, seen

DAY = "/day/2026-05-03"
PAGES = (
    DAY,
    "/day/2026-05-02",
    "/species",
    "/species/great_tit",
    "/health",
    "/answers",
    "/unknowns",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="module")
def client(config: Path) -> FlaskClient:
    return page_of(config)[1]


def events(config: Path) -> list[StoredEvent]:
    with reading(config.with_name("edge.db")) as db:
        return list(select(db, Question()))


def test_today_leads_to_each_of_its_events(config: Path, client: FlaskClient) -> None:
    page = seen(client, "/")
    today = [e for e in events(config) if e.start.isoformat() >= "2026-05-03"]
    links = [href for href in page.values("href") if href.startswith("/event/")]
    assert links == [f"/event/{e.id}" for e in reversed(today)][:100]
    assert f"Events: {len(today)}" in page.texts


def test_an_hour_without_sound_is_not_an_hour_of_silence(client: FlaskClient) -> None:
    page = seen(client, "/day/2026-05-02")
    states = [value for tag, name, value in page.attributes if (tag, name) == ("td", "class")]
    assert states[11] == "none"
    assert states[10] == ""
    assert "Heard 23.0 of 24 hours" in page.texts


def test_what_is_to_come_is_not_called_deaf(client: FlaskClient) -> None:
    page = seen(client, DAY)
    states = [value for tag, name, value in page.attributes if (tag, name) == ("td", "class")]
    assert states[16:24] == [""] * 8


def test_the_list_can_be_of_one_label_and_of_unknown_sounds(
    config: Path, client: FlaskClient
) -> None:
    today = [e for e in events(config) if e.start.isoformat() >= "2026-05-03"]
    for query, label in (("label=great_tit", "great_tit"), ("unknown=1", None)):
        page = seen(client, f"{DAY}?{query}")
        links = [href for href in page.values("href") if href.startswith("/event/")]
        assert links == [f"/event/{e.id}" for e in reversed(today) if e.label == label]


def test_an_event_has_its_picture_sound_fields_and_neighbours(
    config: Path, client: FlaskClient
) -> None:
    last = events(config)[-2]
    page = seen(client, f"/event/{last.id}")
    assert f"/event/{last.id}/sound" in page.values("src")
    assert f"/event/{last.id}/spectrogram.png" in page.values("href")
    at = page.attributes.index(("rect", "class", "event"))
    box = {name: value for _, name, value in page.attributes[at : at + 5]}
    assert float(box["x"]) == pytest.approx(WIDTH * 2 / 7, abs=0.1)
    assert float(box["width"]) == pytest.approx(WIDTH * 3 / 7, abs=0.1)
    assert "health.rms_dbfs" in page.texts
    assert any(f"/event/{events(config)[-3].id}" == href for href in page.values("href"))


def test_a_browser_gets_the_part_of_the_sound_that_it_asks_for(
    config: Path, client: FlaskClient
) -> None:
    path = f"/event/{events(config)[-1].id}/sound"
    whole = client.get(path, base_url="http://localhost", buffered=True).data
    assert soundfile.info(io.BytesIO(whole)).duration == pytest.approx(7.0)
    part = client.get(
        path, base_url="http://localhost", headers={"Range": "bytes=4-9"}, buffered=True
    )
    assert (part.status_code, part.data) == (206, whole[4:10])


def test_a_picture_shows_the_tone_where_it_is(tmp_path: Path) -> None:
    time_s = np.arange(3 * 16_000) / 16_000
    tone = 0.5 * np.sin(2 * np.pi * 2000 * time_s) * (time_s >= 1) * (time_s < 2)
    soundfile.write(
        tmp_path / "a.wav", tone + 1e-3 * np.random.default_rng(1).normal(size=48_000), 16_000
    )
    pixels = pixels_of(picture(tmp_path / "a.wav"))
    assert pixels.shape == (HEIGHT, WIDTH)
    row, column = HEIGHT - round(HEIGHT * 2000 / 8000), WIDTH // 2
    assert pixels[row - 2 : row + 2, column].max() == 255
    assert pixels[:, WIDTH // 10].mean() < 60


def test_pictures_are_drawn_once_and_kept_within_a_bound(tmp_path: Path) -> None:
    clip = tmp_path / "a.wav"
    soundfile.write(clip, np.random.default_rng(1).normal(size=16_000) * 0.1, 16_000)
    kept = Pictures(tmp_path / "pictures", most_bytes=200_000)
    first = kept.of("0", clip)
    clip.unlink()
    assert kept.of("0", clip) == first
    soundfile.write(clip, np.random.default_rng(2).normal(size=16_000) * 0.1, 16_000)
    for number in range(1, 9):
        kept.of(str(number), clip)
    sizes = [file.stat().st_size for file in (tmp_path / "pictures").iterdir()]
    assert 1 < len(sizes) < 8
    assert sum(sizes) <= 200_000


@pytest.mark.parametrize("path", [f"{DAY}.csv", f"{DAY}.raven", f"{DAY}.jsonl", "/species.csv"])
def test_a_view_is_a_file_too(client: FlaskClient, path: str) -> None:
    response = client.get(path, base_url="http://localhost", buffered=True)
    assert response.status_code == 200
    assert "attachment" in response.headers["Content-Disposition"]
    assert len(response.text.splitlines()) > 5


@pytest.mark.parametrize("path", ["/health.csv", "/species/great_tit.csv"])
def test_so_are_histories_and_levels(client: FlaskClient, path: str) -> None:
    lines = client.get(path, base_url="http://localhost").text.splitlines()
    assert len(lines) > 60


@pytest.mark.parametrize("path", PAGES)
def test_no_page_asks_anything_of_anybody_else_or_has_code_in_its_text(
    client: FlaskClient, path: str
) -> None:
    response = client.get(path, base_url="http://localhost")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    page = seen(client, path)
    assert all(v.startswith(("/", "#")) for v in page.values("href", "src", "action"))
    assert "style" not in page.tags
    assert not [a for a in page.attributes if a[1] == "style" or a[1].startswith("on")]
    assert [a[2] for a in page.attributes if a[0] == "script" and a[1] == "src"] == [
        "/static/page.js"
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_screen_reader_finds_its_way(client: FlaskClient, path: str) -> None:
    page = seen(client, path)
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert ("html", "lang", "en") in page.attributes
    labelled = {value for tag, name, value in page.attributes if name == "aria-labelledby"}
    assert labelled <= set(page.values("id"))


def test_what_was_added_up_once_is_the_same_again(client: FlaskClient) -> None:
    first, again = (
        client.get("/species/great_tit.csv?days=30", base_url="http://localhost").text
        for _ in range(2)
    )
    assert first == again
    rows = [line.split(",") for line in first.splitlines()]
    assert rows[-2][0] == "2026-05-02"
    assert rows[-2][2] == "23.000"


def test_an_empty_store_has_pages_too(tmp_path: Path) -> None:
    config = heard_recorder(tmp_path, days=1, clips=0)
    with sqlite3.connect(tmp_path / "edge.db") as db:
        for table in ("detections", "effort", "levels"):
            db.execute(f"DELETE FROM {table}")
    client = page_of(config)[1]
    for path in ("/", "/species", "/health", "/answers"):
        seen(client, path)


def test_what_is_not_there_is_a_page_that_says_so(client: FlaskClient, tmp_path: Path) -> None:
    assert "There is no such event" in " ".join(seen(client, "/event/nothing", 404).texts)
    seen(client, "/day/2026-13-01", 404)
    seen(client, "/species/yeti", 404)
    (tmp_path / "edge.yaml").write_text(f"store: {{path: {tmp_path / 'gone.db'}}}\n")
    assert "is not there" in " ".join(seen(page_of(tmp_path / "edge.yaml")[1], "/", 503).texts)


def pixels_of(png: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The places in the palette (height, width) of a picture."""
    at, content = 8, b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            content += png[at + 8 : at + 8 + size]
        at += 12 + size
    rows = np.frombuffer(zlib.decompress(content), np.uint8).reshape(HEIGHT, WIDTH + 1)
    return rows[:, 1:]
