"""Unknown events by cluster, as the page shows them: how many, when, and what was said of them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice

from edge.page.clips import Clips
from edge.page.clusters import Cluster, Clusters
from edge.page.days import utc_of
from edge.page.place import Shown
from edge.store.events import StoredEvent, event_of

__all__ = ["ClusterRow", "by_themselves", "cluster_rows", "examples", "members"]

# The order of the joins is given, since SQLite would look at every unknown event first.
TIMES = """
SELECT latest.id, start_utc FROM json_each(?) AS wanted
CROSS JOIN latest ON latest.id = wanted.value
WHERE label IS NULL
"""
MEMBERS = """
SELECT detections.number AS number, payload FROM json_each(?) AS wanted
CROSS JOIN latest ON latest.id = wanted.value
CROSS JOIN detections ON detections.number = latest.number
WHERE label IS NULL ORDER BY wanted.key
"""
# By their numbers, which the index by label has, so that nothing else is read to pass many over.
OTHERS = """
SELECT detections.number AS number, payload FROM (
    SELECT number, start_utc FROM latest
    WHERE label IS NULL AND number NOT IN (
        SELECT inside.number FROM json_each(?) AS given
        CROSS JOIN latest AS inside ON inside.id = given.value)
    ORDER BY start_utc DESC LIMIT ? OFFSET ?) AS wanted
CROSS JOIN detections ON detections.number = wanted.number ORDER BY start_utc DESC
"""
ALL = "SELECT count(*) FROM latest WHERE label IS NULL"
AT_ONCE = 40  # of a cluster's members, when its best examples are looked for


@dataclass(frozen=True, kw_only=True)
class ClusterRow:
    """A cluster with those of its members that the store still has, the most typical first.

    `by_hour` counts them by hour of the recorder's own day. `said` counts what people say of them:
    labels, or kinds of answers; `answered` have any answer.
    """

    cluster: Cluster
    ids: Sequence[str]
    first: datetime | None
    last: datetime | None
    by_hour: Sequence[int]
    said: Counter[str]
    answered: int

    @property
    def named(self) -> str:
        """What most people who answered say that it is, "" where nobody did."""
        most = self.said.most_common(1)
        return most[0][0] if most else ""

    @property
    def is_answered(self) -> bool:
        """Whether each of them has an answer."""
        return self.answered == len(self.ids)


def cluster_rows(
    db: sqlite3.Connection,
    clusters: Clusters | None,
    *,
    place: Shown,
    said: Iterable[tuple[str, str]],
) -> list[ClusterRow]:
    """Return the clusters that have members left: first those to answer, the largest first.

    `said` is what people say of each event; of one, one after the other.
    """
    if clusters is None:
        return []
    voices = _voices(clusters, said)

    @cache
    def local_hour(hour: str) -> int | None:
        at = utc_of(f"{hour}:00:00Z")
        return None if at is None else place.local(at).hour

    rows = []
    for cluster in clusters.clusters:
        wanted = (json.dumps(cluster.members),)
        times = {id: at for id, at in db.execute(TIMES, wanted) if isinstance(at, str)}
        ids = [id for id in cluster.members if id in times]
        if ids:
            starts = sorted(times.values())
            hours = Counter(local_hour(start[:13]) for start in starts)
            rows.append(
                ClusterRow(
                    cluster=cluster,
                    ids=ids,
                    first=utc_of(starts[0]),
                    last=utc_of(starts[-1]),
                    by_hour=[hours[hour] for hour in range(24)],
                    said=voices[cluster.number].said,
                    answered=len(times.keys() & voices[cluster.number].events),
                )
            )
    return sorted(rows, key=lambda row: (row.is_answered, -len(row.ids), row.cluster.number))


class _Voices:
    """What is said of a cluster, and of which `events` of it anything is."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()
        self.events: set[str] = set()


def _voices(clusters: Clusters, said: Iterable[tuple[str, str]]) -> Mapping[int, _Voices]:
    found: Mapping[int, _Voices] = defaultdict(_Voices)
    for event, what in said:
        cluster = clusters.of_event.get(event)
        if cluster is not None:
            found[cluster.number].said[what] += 1
            found[cluster.number].events.add(event)
    return found


def members(db: sqlite3.Connection, ids: Sequence[str]) -> list[StoredEvent]:
    """Return unknown events by their ids, in the order of these."""
    rows = db.execute(MEMBERS, (json.dumps(list(ids)),))
    found = (event_of(row["number"], row["payload"]) for row in rows)
    return [event for event in found if event is not None]


def examples(
    db: sqlite3.Connection, ids: Sequence[str], *, clips: Clips, most: int
) -> list[StoredEvent]:
    """Return the first of `ids` whose sound is there, `most` of them."""
    found: list[StoredEvent] = []
    for begin in range(0, len(ids), AT_ONCE):
        some = members(db, ids[begin : begin + AT_ONCE])
        with_sound = (event for event in some if clips.has(event))
        found += islice(with_sound, most - len(found))
        if len(found) == most:
            break
    return found


def by_themselves(
    db: sqlite3.Connection, rows: Sequence[ClusterRow], *, limit: int, offset: int
) -> tuple[list[StoredEvent], int]:
    """Return unknown events that are in no cluster, newest first, and how many there are."""
    inside = [id for row in rows for id in row.ids]
    found = db.execute(OTHERS, (json.dumps(inside), limit, offset)).fetchall()
    events = (event_of(row["number"], row["payload"]) for row in found)
    count = db.execute(ALL).fetchone()[0] - len(inside)
    return [event for event in events if event is not None], count
