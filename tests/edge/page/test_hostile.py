"""Nothing of a store, an address or a form is trusted: a fuzzer over every route."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.page.clips import ClipFolder
from edge.page.clusters import Cluster, Clusters, write_clusters
from edge.store.embedded import EmbeddedEvents, newest_embedded
from edge.store.events import event_of
from edge.store.reading import reading
from tests.support.heard import heard_recorder
from tests.support.pages import Seen, page_of, token_in
from tests.support.store import payload

HERE = "http://localhost"
NASTY = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "javascript:alert(1)",
    "a\x00b",
    "\ud800",
    "\u202eevil",
    "x" * 5000,
    "' OR 1=1 --",
    "=HYPERLINK(1)",
    "-1",
    "9" * 400,
    "NaN",
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=50))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda some: st.one_of(st.lists(some, max_size=3), st.dictionaries(TEXTS, some, max_size=3)),
    max_leaves=5,
)
FIELDS = sorted({*payload(1), "probability", "animal", "kind", "outcome", "clip_withheld"} - {"id"})
ID = "hostile"
SEEN = re.compile(r'name="seen" value="([^"]+)"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    heard_recorder(folder, days=1, clips=2)
    members = tuple(id for one in newest_unknown_of(folder) for id in one.ids)
    cluster = Cluster(number=1, members=(ID, *members))
    made = Clusters(clusters=(cluster,), alone=(), next_number=2, newest=ID, made_utc=NASTY[1][:60])
    write_clusters(folder / "labels" / "clusters.json", made)
    return folder


def newest_unknown_of(folder: Path) -> list[EmbeddedEvents]:
    with reading(folder / "edge.db") as db:
        return newest_embedded(db, unknown=10, known=10)


@pytest.fixture(scope="module")
def client(folder: Path) -> FlaskClient:
    return page_of(folder / "edge.yaml")[1]


def put(folder: Path, text: str) -> None:
    """Make `text` the only message of an event in the store."""
    with sqlite3.connect(folder / "edge.db", isolation_level=None) as db:
        db.execute("DELETE FROM detections WHERE id = ?", (ID,))
        db.execute(
            "INSERT INTO detections (number, key, id, state, payload, bytes, start_sample, "
            "end_sample, boot_id, offset_us, synced) VALUES (1000000, ?, ?, 'end', ?, 1, 0, 1, "
            "'b', 0, 1)",
            (f"{ID}/end", ID, text),
        )
    db.close()


def assert_harmless(text: str) -> None:
    """Assert that a page has nothing but what its own templates put there."""
    page = Seen(text)
    assert not {"style", "iframe", "object", "embed", "base"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    places = [v for t, n, v in page.attributes if n in ("href", "src", "action") and t != "option"]
    assert all(place.startswith(("/", "#")) and not place.startswith("//") for place in places)


def get(client: FlaskClient, path: str) -> str:
    response = client.get(path, base_url=HERE, follow_redirects=True, buffered=True)
    assert response.status_code < 500, (path, response.text)
    if response.mimetype == "text/html":
        assert_harmless(response.text)
        return response.text
    return ""


@given(changed=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
@settings(max_examples=60)
def test_whatever_a_message_says(
    folder: Path, client: FlaskClient, changed: dict[str, Any]
) -> None:
    message = {**payload(1, start_utc="2026-05-03T01:00:00.000000Z"), "id": ID, **changed}
    put(folder, json.dumps(message))
    pages = ["/day/2026-05-03", f"/event/{ID}", f"/event/{ID}/sound", "/species", "/health"]
    pages += [f"/event/{ID}/spectrogram.png", "/day/2026-05-03.csv", "/day/2026-05-03.raven"]
    for path in (*pages, "/day/2026-05-03.jsonl", "/answers", "/unknowns", "/unknowns/1"):
        get(client, path)


@given(content=st.binary(max_size=40))
@settings(max_examples=50)
def test_whatever_damage_has_left(folder: Path, client: FlaskClient, content: bytes) -> None:
    put(folder, content.decode("latin-1"))
    for path in ("/day/2026-05-03", f"/event/{ID}", "/species", "/health", "/unknowns/1"):
        get(client, path)


@given(name=TEXTS)
def test_no_message_names_a_file_outside_of_the_clips(folder: Path, name: str) -> None:
    (folder / "secret.wav").write_bytes(b"RIFF")
    (folder / "clips" / "link.wav").unlink(missing_ok=True)
    (folder / "clips" / "link.wav").symlink_to(folder / "secret.wav")
    for clip in (
        name,
        "../secret.wav",
        str(folder / "secret.wav"),
        "link.wav",
        "unknown/../../secret.wav",
    ):
        event = event_of(1, json.dumps({**payload(1), "clip": clip}, ensure_ascii=True))
        if event is not None:
            found = ClipFolder(folder / "clips").file(event)
            assert found is None or found.is_relative_to((folder / "clips").resolve())


@given(data=st.data())
@settings(max_examples=200)
def test_whatever_an_address_says(client: FlaskClient, data: st.DataObject) -> None:
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.endpoint != "logout"]
    rule = data.draw(st.sampled_from(sorted(rules, key=lambda rule: rule.rule)))
    path = "/" + "/".join(
        quote(data.draw(TEXTS), safe="", errors="surrogatepass") if "<" in part else part
        for part in rule.rule.strip("/").split("/")
    )
    names = ["from", "label", "unknown", "days", "said", "then", "token", "alone", "count"]
    query = data.draw(st.dictionaries(st.sampled_from(names), TEXTS, max_size=3))
    pairs = [f"{k}={quote(v, safe='', errors='surrogatepass')}" for k, v in query.items()]
    get(client, f"{path}?{'&'.join(pairs)}")


@given(form=st.dictionaries(st.sampled_from(["answer", "label", "who"]), TEXTS))
@settings(max_examples=40)
def test_whatever_a_form_says(folder: Path, client: FlaskClient, form: dict[str, str]) -> None:
    put(folder, json.dumps({**payload(1), "id": ID}))
    token = token_in(client.get(f"/event/{ID}", base_url=HERE).text)
    plain = {k: v.encode("utf-8", "replace").decode() for k, v in form.items()}
    for answer in (plain.get("answer", ""), "is", "noise"):
        data = {**plain, "answer": answer, "token": token}
        response = client.post(f"/event/{ID}/answer", data=data, base_url=HERE)
        assert response.status_code in (303, 400)
    for path in (f"/event/{ID}", "/answers", "/answers.csv", "/answers.manifest", "/answers.raven"):
        get(client, path)


@given(
    form=st.dictionaries(st.sampled_from(["answer", "label", "who", "seen"]), TEXTS),
    place=st.sampled_from(["1", "2", "0", "-1", "9" * 30, "x", "1.5"]),
)
@settings(max_examples=40)
def test_whatever_a_form_says_of_a_cluster(
    folder: Path, client: FlaskClient, form: dict[str, str], place: str
) -> None:
    put(folder, json.dumps({**payload(1), "id": ID, "label": None}))
    page = client.get("/unknowns/1", base_url=HERE).text
    own = {"token": token_in(page), "seen": SEEN.findall(page)[0]}
    plain = {k: v.encode("utf-8", "replace").decode() for k, v in form.items()}
    for data in (
        {**plain, "token": own["token"]},
        {**plain, **own},
        {**plain, **own, "answer": "is"},
    ):
        response = client.post(f"/unknowns/{place}/answer", data=data, base_url=HERE)
        assert response.status_code in (303, 400, 404)
    for path in ("/unknowns", "/unknowns/1", "/answers", "/answers.csv", f"/event/{ID}"):
        get(client, path)
