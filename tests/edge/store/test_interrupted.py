"""Events that a killed recorder has left open get their end, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.store.interrupted import end_interrupted
from edge.store.store import Dating
from tests.edge.store.stores import open_store, waiting
from tests.support.store import SYNCED, event_id, payload

SCHEMA = Path(__file__).resolve().parents[3] / "config/detection.v1.schema.json"
UNSET = Dating(boot_id="b", offset_us=5, synced=False, uncertainty_s=1e9)


def test_what_was_open_ends_as_it_was_last_known(path: Path) -> None:
    with open_store(path) as store:
        for state in ("new", "end"):
            store.record(payload(1, state=state), dating=SYNCED)
        store.record(payload(2, state="new"), dating=SYNCED)
        update = {**payload(3, state="update"), "end_sample": 10**9, "clip": "a/b.flac"}
        store.record(payload(3, state="new"), dating=UNSET)
        store.record(update, dating=UNSET)
    with open_store(path) as store:
        assert end_interrupted(store) == 2
        assert end_interrupted(store) == 0
        ends = [p for p in store.detections() if "interrupted" in p]
        assert [(p["id"], p["state"]) for p in ends] == [(event_id(2), "end"), (event_id(3), "end")]
        assert ends[1] == {**update, "state": "end", "clip": None, "interrupted": True}
        # It is dated as the event was, so that setting the clock moves all of it.
        dated = store._db.execute(
            "SELECT offset_us, synced FROM detections WHERE key = ?", (f"{event_id(3)}/end",)
        )
        assert dated.fetchall() == [(5, 0)]
        assert waiting(store)[-1]["interrupted"] is True
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        assert "interrupted" in schema["properties"]


def test_an_empty_store_has_nothing_open(path: Path) -> None:
    with open_store(path) as store:
        assert end_interrupted(store) == 0


@pytest.mark.parametrize("damage", ["'{'", "'[]'", "'{\"id\": 3}'", "x'ff00'", "17"])
def test_a_damaged_row_is_left_alone(path: Path, damage: str) -> None:
    with open_store(path) as store:
        store.record(payload(1, state="new"), dating=SYNCED)
        store.record(payload(2, state="new"), dating=SYNCED)
        store._db.execute(f"UPDATE detections SET payload = {damage} WHERE id = '{event_id(1)}'")
        assert end_interrupted(store) == 1
