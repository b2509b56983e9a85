"""Unknown events are grouped by what one network says of them, and a cluster keeps its number."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.page.cluster_runs import ClusterRuns
from edge.page.clustering import LEAST_MEMBERS, clustered, make_clusters
from edge.page.clusters import Cluster, Clusters, numbered, read_clusters, write_clusters
from edge.store.embedded import EmbeddedEvents
from edge.store.store import Store
from edge.types import Array
from tests.support.daemons import until
from tests.support.store import SYNCED, event_id, payload

ROOT = Path(__file__).resolve().parents[3]
DIMENSIONS = 64
NETWORK = "f4" * 32


def kinds(counts: Sequence[int], *, alone: int = 0, seed: int = 1) -> Array:
    """Embeddings of some kinds of sounds, so many of each, and of others that are like none."""
    dice = np.random.default_rng(seed)
    of_kinds = dice.standard_normal((len(counts), DIMENSIONS))
    near = [
        centre + 0.2 * dice.standard_normal((count, DIMENSIONS))
        for centre, count in zip(of_kinds, counts, strict=True)
    ]
    loud = dice.uniform(0.1, 10, (sum(counts) + alone, 1))  # which says nothing of the kind
    every = np.concatenate([*near, dice.standard_normal((alone, DIMENSIONS))])
    vectors: Array = (loud * every).astype(np.float32)
    return vectors


def events(vectors: Array, known: Array | None = None) -> EmbeddedEvents:
    ids = [str(number) for number in range(len(vectors))]
    none = np.empty((0, vectors.shape[1]), np.float32) if known is None else known
    return EmbeddedEvents(network=NETWORK, ids=ids, vectors=vectors, known=none)


def clusters(*found: Sequence[str], before: Clusters | None = None) -> Clusters:
    made, following = numbered(found, before)
    return Clusters(clusters=made, alone=(), next_number=following, newest="z", made_utc="2026")


def numbers(made: Clusters) -> dict[int, str]:
    return {one.number: "".join(sorted(one.members)) for one in made.clusters}


def store_of(path: Path, vectors: Array, *, network: str = NETWORK, first: int = 0) -> None:
    """Record unknown events with these embeddings."""
    with Store(path, outbox_bytes=10**7, history_bytes=10**8, sinks=()) as store:
        store._db.execute("PRAGMA synchronous = OFF")
        for number, vector in enumerate(vectors, first):
            start = f"2026-05-01T{number // 60:02d}:{number % 60:02d}:00.000000Z"
            message = payload(number, label=None, start_utc=start, end_utc=start)
            store.record(message, dating=SYNCED, embedding=vector, network=network)


@pytest.mark.parametrize("counts", [(40, 20, 8), (300, 10, 6, 6), (30, 30)])
def test_kinds_are_found_and_what_is_like_none_is_alone(counts: tuple[int, ...]) -> None:
    found = clustered(events(kinds(counts, alone=4)))
    assert len(found) == len(counts)
    ends = np.cumsum(counts)
    for members in found:
        assert len({int(np.searchsorted(ends, int(id), "right")) for id in members}) == 1
        assert len(members) >= LEAST_MEMBERS
    assert sum(map(len, found)) > 0.8 * sum(counts)
    inside = {int(id) for members in found for id in members}
    assert inside.isdisjoint(range(sum(counts), sum(counts) + 4))


@pytest.mark.parametrize("count", [8, 12, 60])
def test_a_single_kind_stands_out_among_what_is_known(count: int) -> None:
    every = kinds((count, 40, 25))
    (members,) = clustered(events(every[:count], every[count:]))
    assert len(members) >= 0.8 * count
    # What is known is in none.
    assert {
        int(id) for members in clustered(events(every[:count], every)) for id in members
    } <= set(range(count))


def test_the_same_events_give_the_same_clusters_and_the_most_typical_comes_first() -> None:
    vectors = kinds((30, 20))
    found = clustered(events(vectors))
    assert found == clustered(events(vectors))
    for members in found:
        own = vectors[[int(id) for id in members]]
        own = own / np.linalg.norm(own, axis=1, keepdims=True)
        nearness = own @ own.mean(axis=0)
        assert np.all(np.diff(nearness) <= 1e-6)


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((0, 4), np.float32),
        np.zeros((30, 4), np.float32),
        np.ones((30, 1), np.float32),
        np.full((30, 4), 1e30, np.float32),
        np.eye(12, dtype=np.float32),
    ],
    ids=["none", "zeros", "one number", "huge", "all apart"],
)
def test_what_no_network_says_ends_nothing(vectors: Array) -> None:
    inside = [id for members in clustered(events(vectors)) for id in members]
    assert len(set(inside)) == len(inside) <= len(vectors)


def test_embeddings_of_two_networks_are_never_compared(tmp_path: Path) -> None:
    vectors = kinds((20, 15))
    store_of(tmp_path / "edge.db", vectors)
    store_of(tmp_path / "edge.db", vectors[:, :32], network="a0" * 32, first=100)
    make_clusters(tmp_path / "edge.db", tmp_path / "clusters.json")
    made = read_clusters(tmp_path / "clusters.json")
    assert made is not None
    old = {event_id(100 + number) for number in range(35)}
    assert len(made.clusters) == 4
    assert all(old.isdisjoint(one.members) or old.issuperset(one.members) for one in made.clusters)
    assert made.newest == event_id(134)


def test_a_cluster_keeps_its_number_as_far_as_its_members_stay() -> None:
    first = clusters("abcdef", "ghijk", "lmnop")
    assert numbers(first) == {1: "abcdef", 2: "ghijk", 3: "lmnop"}
    # The third is gone, the first has others, too, and stands elsewhere.
    second = clusters("qrstu", "cdefxy", before=first)
    assert numbers(second) == {4: "qrstu", 1: "cdefxy"}
    # In two: the larger part keeps it. No number comes back.
    third = clusters("cd", "efxy", "lmnop", before=second)
    assert numbers(third) == {1: "efxy", 5: "cd", 6: "lmnop"}
    # Together: that of which there is more.
    assert numbers(clusters("cdefxy", before=third)) == {1: "cdefxy"}


@given(st.lists(st.sets(st.integers(0, 40), min_size=1), max_size=4))
def test_numbers_are_given_once_whatever_becomes_of_the_members(
    rounds: list[set[int]],
) -> None:
    made: Clusters | None = None
    for cuts in rounds:
        edges = sorted(cuts | {0, 41})
        parts = [[str(k) for k in range(begin, end)] for begin, end in itertools.pairwise(edges)]
        before, made = made, clusters(*parts, before=made)
        assert len(made.by_number) == len(parts)
        assert max(made.by_number) < made.next_number
        if before is not None:
            new = set(made.by_number) - set(before.by_number)
            assert all(number >= before.next_number for number in new)


def damaged(**changed: Any) -> str:
    whole = {
        "version": 1,
        "made_utc": "2026",
        "newest": "b",
        "next_number": 3,
        "clusters": [{"number": 1, "members": ["a"]}, {"number": 2, "members": ["b"]}],
        "alone": [],
    }
    return json.dumps({**whole, **changed})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = clusters("abc", "de")
    write_clusters(tmp_path / "clusters.json", made)
    assert read_clusters(tmp_path / "clusters.json") == made
    (tmp_path / "whole.json").write_text(damaged())
    assert read_clusters(tmp_path / "whole.json") is not None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        "[" * 100_000,
        damaged(version=2),
        damaged(clusters=[{"number": 0, "members": []}]),
        damaged(clusters=[{"number": True, "members": []}]),
        damaged(clusters=[{"number": 3, "members": []}]),
        damaged(clusters=[{"number": 1, "members": ["a"]}] * 2),
        damaged(clusters=[{"number": 1, "members": ["a"]}, {"number": 2, "members": ["a"]}]),
        damaged(clusters=[{"number": 1, "members": "\n"}]),
        damaged(clusters=7),
        damaged(alone=[None]),
        damaged(newest="x" * 65),
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "clusters.json").write_text(content)
    assert read_clusters(tmp_path / "clusters.json") is None


def test_looking_has_them_made_and_made_anew(tmp_path: Path) -> None:
    store, file = tmp_path / "edge.db", tmp_path / "labels" / "clusters.json"
    store_of(store, kinds((20, 15)))
    clock_s = 0.0
    runs = ClusterRuns(store, file, monotonic_s=lambda: clock_s)
    assert runs.look(None).running is False
    first = runs.look("newest")
    assert (first.clusters, first.running, first.fault) == (None, True, "")
    until(lambda: not runs.look(event_id(34)).running, 60)
    made = runs.look(event_id(34)).clusters
    assert made is not None
    assert len(made.clusters) == 2
    # Another event: not at once, as it would be all that a small machine does.
    assert runs.look("another").running is False
    clock_s = 1e6
    assert runs.look("another").running is True
    assert runs.look("another").clusters == made


def test_a_store_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    runs = ClusterRuns(tmp_path / "edge.db", tmp_path / "clusters.json")
    assert runs.look("newest").running is True
    until(lambda: not runs.look("newest").running, 60)
    assert runs.look("newest").fault == f"the store {tmp_path / 'edge.db'} is not there"
    done = subprocess.run(
        [sys.executable, "-m", "edge.page.clustering", tmp_path / "edge.db", tmp_path / "x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"error: the store {tmp_path}/edge.db is not there\n"


def test_without_the_library_there_is_a_line_and_no_process(tmp_path: Path) -> None:
    runs = ClusterRuns(tmp_path / "edge.db", tmp_path / "c.json", library="no_such_library")
    state = runs.look("newest")
    assert state.running is False
    assert state.fault.startswith("scikit-learn is not installed (")


def test_a_cluster_is_named_by_its_members() -> None:
    one, same, other = (Cluster(number=1, members=tuple(m)) for m in ("abc", "cba", "abd"))
    assert one.digest == same.digest != other.digest
