"""A recorder's store as it is after a year, with its clusters and the answers to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from edge.clock import rfc3339
from edge.page.answers import Answers
from edge.page.clustering import MOST_EVENTS
from edge.page.clusters import Clusters, numbered, write_clusters
from edge.page.unknowns import members
from edge.store.dating import Database
from edge.store.events import Question, select
from edge.store.reading import reading
from edge.store.store import Store
from tests.support.daemons import write_config
from tests.support.heard import NOW, write_clip
from tests.support.store import payload

__all__ = ["LABELS", "answer_clusters", "group", "year_of_events"]

LABELS = [f"species_{number:03}" for number in range(150)]
OF_A_CLUSTER = 50
DAYS = 365
EVENT = """
INSERT INTO detections (number, key, id, state, payload, bytes, start_sample, end_sample, boot_id,
    offset_us, synced) VALUES (?, ?, ?, 'end', ?, 900, 0, 1, 'b', 0, 1)
"""
MINUTE = """
INSERT INTO effort (key, bytes, start_utc, start_sample, end_sample, sample_rate_hz, heard_s,
    lost_s, gated_s, dropped_s, boot_id, offset_us, synced) VALUES (?, 0, ?, 0, 60000, 1000, 60,
    0, 0, 0, 'b', 0, 1)
"""


def year_of_events(folder: Path, count: int, *, minutes: int = 0, clips: int = 0) -> Path:
    """Make a store of so many events up to `NOW`, a third of them unknown, and its configuration.

    Returns the latter. The newest have `clips`, which are one file under several names. The ledger
    has so many `minutes`, spread over the year.
    """
    config = write_config(folder, folder, clips={"folder": str(folder / "clips")})
    with Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**10, sinks=()) as store:
        store._db.execute("PRAGMA synchronous = OFF")

        def write(db: Database, history: object) -> None:
            for event in _events(count, folder / "clips", clips):
                db.execute(EVENT, event)
            for minute in range(minutes):
                db.execute(MINUTE, (str(minute), _time(minute, minutes)))

        store.change(write)
    return config


def _events(count: int, folder: Path, clips: int) -> Iterator[tuple[object, ...]]:
    first = None
    for number in range(count):
        start = _time(number, count)
        label = LABELS[number * number % len(LABELS)] if number % 3 else None
        name = label and label.replace("_", " ")
        message = payload(number, start_utc=start, end_utc=start, label=label, common_name=name)
        if number >= count - clips:
            first = first or folder / write_clip(folder, {**message, "label": None}, NOW)
            message["clip"] = f"{number}.flac"
            os.link(first, folder / message["clip"])
        yield number * 2 + 1, message["id"], message["id"], json.dumps(message)


def _time(number: int, count: int) -> str:
    return rfc3339(NOW - timedelta(days=DAYS) * (1 - number / count))


def group(folder: Path) -> None:
    """Say that as many unknown events are in clusters as can be: 100 of 50."""
    with reading(folder / "edge.db") as db:
        newest = list(select(db, Question(unknown=True), newest_first=True, limit=MOST_EVENTS))
    ids = [event.id for event in newest]
    parts = [ids[k : k + OF_A_CLUSTER] for k in range(0, len(ids), OF_A_CLUSTER)]
    found, following = numbered(parts, None)
    made = Clusters(
        clusters=found, alone=(), next_number=following, newest=ids[0], made_utc=rfc3339(NOW)
    )
    write_clusters(folder / "labels" / "clusters.json", made)


def answer_clusters(folder: Path, *who: str) -> int:
    """Let people answer every cluster; return how many answers there are."""
    clusters = json.loads((folder / "labels" / "clusters.json").read_text())["clusters"]
    answers, count = Answers(folder / "labels" / "labels.db"), 0
    for person in who:
        for one in clusters:
            with reading(folder / "edge.db") as db:
                events = members(db, one["members"])
            label = f"kind_{one['number'] % 7}"
            count += answers.add_cluster(
                events, "is", cluster=one["number"], who=person, now=NOW, label=label
            )
    answers.close()
    return count
