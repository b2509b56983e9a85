"""Which unknown events sound alike: clusters, numbered for good, in a file of the page's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.bundle.digest import canonical_digest
from edge.bundle.strictjson import NotJsonError, read_json
from edge.files import write_whole
from edge.page.owner import give_to_owner

__all__ = ["FILE", "Cluster", "Clusters", "numbered", "read_clusters", "write_clusters"]

FILE = "clusters.json"
VERSION = 1
MOST_NUMBER = 10**9


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Events that sound alike to one network: their ids, the most typical first."""

    number: int
    members: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """What names these members: another one is another set of them."""
        return canonical_digest(sorted(self.members))[:16]


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """The clusters among the newest unknown events, and those that are `alone`.

    `next_number` was never given, `newest` is the id of the newest event that was looked at, and
    `made_utc` the time.
    """

    clusters: tuple[Cluster, ...]
    alone: tuple[str, ...]
    next_number: int
    newest: str
    made_utc: str

    @cached_property
    def by_number(self) -> dict[int, Cluster]:
        """Each cluster by its number."""
        return {cluster.number: cluster for cluster in self.clusters}

    @cached_property
    def of_event(self) -> dict[str, Cluster]:
        """The cluster of each event that has one."""
        return {id: cluster for cluster in self.clusters for id in cluster.members}

    @property
    def events(self) -> int:
        """How many events were looked at."""
        return sum(len(cluster.members) for cluster in self.clusters) + len(self.alone)


def numbered(
    found: Sequence[Sequence[str]], before: Clusters | None
) -> tuple[tuple[Cluster, ...], int]:
    """Return clusters with their numbers, and the next one that was never given.

    One keeps the number of that of before with which it shares most members, if they are at least
    half of what is left of either.
    """
    earlier = {} if before is None else before.of_event
    here = {id for members in found for id in members}
    left = Counter(cluster.number for id, cluster in earlier.items() if id in here)
    pairs = [
        (shared, at, number)
        for at, members in enumerate(found)
        for number, shared in Counter(earlier[id].number for id in members if id in earlier).items()
        if 2 * shared >= min(len(members), left[number])
    ]
    kept: dict[int, int] = {}
    for _, at, number in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        if at not in kept and number not in kept.values():
            kept[at] = number
    following = 1 if before is None else before.next_number
    clusters = []
    for at, members in enumerate(found):
        if at not in kept:
            kept[at], following = following, following + 1
        clusters.append(Cluster(number=kept[at], members=tuple(members)))
    return tuple(clusters), following


def write_clusters(path: Path, clusters: Clusters) -> None:
    """Write the file, whole or not at all; raises OSError."""
    content = {
        "version": VERSION,
        "made_utc": clusters.made_utc,
        "newest": clusters.newest,
        "next_number": clusters.next_number,
        "clusters": [
            {"number": one.number, "members": list(one.members)} for one in clusters.clusters
        ],
        "alone": list(clusters.alone),
    }
    write_whole(path, json.dumps(content), durable=True, mode=0o600)
    give_to_owner(path.parent, path)


def read_clusters(path: Path) -> Clusters | None:
    """Return what was written; None where nothing was, or where damage has left none."""
    try:
        content = read_json(path)
        return _clusters(content) if content["version"] == VERSION else None
    except (FileNotFoundError, NotJsonError, KeyError, TypeError, ValueError):
        return None


def _clusters(content: dict[str, Any]) -> Clusters:
    """Return what a file says; raises `KeyError`, `TypeError` or `ValueError`."""
    clusters = tuple(
        Cluster(number=_number(one["number"]), members=_ids(one["members"]))
        for one in content["clusters"]
    )
    made = Clusters(
        clusters=clusters,
        alone=_ids(content["alone"]),
        next_number=_number(content["next_number"]),
        newest=_id(content["newest"]),
        made_utc=_id(content["made_utc"]),
    )
    unique = len(made.by_number) == len(clusters) and len(made.of_event) == sum(
        len(one.members) for one in clusters
    )
    if not unique or any(number >= made.next_number for number in made.by_number):
        raise ValueError("two clusters have the same number or event")
    return made


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_NUMBER:
        raise ValueError(f"{value} is no number of a cluster")
    return value


def _ids(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(_id(value) for value in values)


def _id(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 64:
        raise ValueError("not an id")
    return value
