"""Groups unknown events that sound alike: `python -m edge.page.clustering STORE FILE`.

It is a process of its own, since scikit-learn takes more memory than all of the page, and ends with
the clusters in FILE. The embeddings of each network are brought to length 1 and to their principal
components, and HDBSCAN finds where they are dense (Campello, Moulavi and Sander 2013). What is
nowhere dense is alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.clock import rfc3339
from edge.errors import UserError
from edge.page.clusters import Clusters, numbered, read_clusters, write_clusters
from edge.store.embedded import EmbeddedEvents, newest_embedded, newest_id
from edge.store.reading import reading
from edge.types import Array

__all__ = ["MOST_EVENTS", "clustered", "make_clusters"]

Rows = NDArray[np.intp]

MOST_EVENTS = 5000  # the newest ones; time grows with their square
# Among those that are known, unknown ones of a single kind stand out.
MOST_KNOWN = 1000
# Chosen on unknown species, of which `docs/evidence.md` has the figures. With more neighbours, what
# lies between two kinds joins them; leaves of the tree would have one frequent kind in many parts.
LEAST_MEMBERS, LEAST_SHARE, NEIGHBOURS = 5, 1 / 500, 2
MOST_SPREAD = 0.25  # squared distances; those of whole species are from 0.1 to 0.4
LEAST_DENSITY = 0.5  # around a member, where the densest place of the cluster has 1
COMPONENTS = 32
LONGEST_S = 900
FIRST_TO_GO = "1000"  # of what the kernel ends where memory is short, before any recorder


def make_clusters(store: Path, file: Path) -> None:
    """Group the newest unknown events of a store; raises `UserError` and OSError."""
    with reading(store) as db:
        newest = newest_id(db) or ""
        networks = newest_embedded(db, unknown=MOST_EVENTS, known=MOST_KNOWN)
    found = [members for events in networks for members in clustered(events)]
    inside = {id for members in found for id in members}
    clusters, following = numbered(found, read_clusters(file))
    write_clusters(
        file,
        Clusters(
            clusters=clusters,
            alone=tuple(id for events in networks for id in events.ids if id not in inside),
            next_number=following,
            newest=newest,
            made_utc=rfc3339(datetime.now(timezone.utc)),
        ),
    )


def clustered(events: EmbeddedEvents) -> list[list[str]]:
    """Return the clusters among the events of one network: ids, the most typical first."""
    count = len(events.ids)
    if count < LEAST_MEMBERS or count + len(events.known) < 2 * LEAST_MEMBERS:
        return []
    vectors = _directions(np.concatenate([events.vectors, events.known]))
    least = max(LEAST_MEMBERS, round(LEAST_SHARE * count))
    every = np.arange(len(vectors))
    groups = (rows[rows < count] for rows in _groups(_components(vectors), every, least))
    return [_typical_first(events, vectors, rows) for rows in groups if len(rows) >= LEAST_MEMBERS]


def _groups(components: Array, rows: Rows, least: int) -> Iterator[Rows]:
    """Yield the rows of each cluster among `rows`; one that is as wide as all is looked into."""
    from sklearn.cluster import HDBSCAN

    grouping = HDBSCAN(min_cluster_size=least, min_samples=NEIGHBOURS, copy=True)
    labels = grouping.fit_predict(components[rows])
    near = grouping.probabilities_ >= LEAST_DENSITY
    for label in range(labels.max() + 1):
        part = rows[near & (labels == label)]
        if _spread(components, part) <= MOST_SPREAD:
            yield part
        elif 2 * least <= len(part) < len(rows):
            yield from _groups(components, part, least)


def _spread(components: Array, rows: Rows) -> float:
    """Return how far from their mean some rows are, as a share of how far all others are."""
    inside = np.zeros(len(components), bool)
    inside[rows] = True
    distances = np.square(components - components[rows].mean(axis=0)).sum(axis=1)
    others = distances[~inside]
    return float(distances[inside].mean() / max(others.mean(), 1e-12)) if len(others) else 1.0


def _directions(vectors: Array) -> Array:
    """Return vectors (N, D) float32 of length 1; one of no length stays as it is."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors / np.maximum(largest, np.float32(1e-30))  # so that no square is too large
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    result: Array = scaled / np.maximum(lengths, np.float32(1e-30))
    return result


def _components(vectors: Array) -> Array:
    """Return the principal components (N, at most `COMPONENTS`) float32 of vectors."""
    from sklearn.decomposition import PCA

    if not np.ptp(vectors, axis=0).any():
        return vectors[:, :1]
    count = min(COMPONENTS, *vectors.shape)
    result: Array = PCA(count, svd_solver="randomized", random_state=0).fit_transform(vectors)
    return result


def _typical_first(events: EmbeddedEvents, vectors: Array, rows: Rows) -> list[str]:
    """Return the ids of a cluster, those first that are nearest to the mean of all."""
    nearness = vectors[rows] @ vectors[rows].mean(axis=0)
    return [events.ids[rows[k]] for k in np.argsort(-nearness, kind="stable")]


def main() -> int:
    """Run the program; return its exit status, 2 with one line where it could do nothing."""
    store, file = map(Path, sys.argv[1:])
    signal.alarm(LONGEST_S)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    with contextlib.suppress(OSError):  # a service may have no right to, and is nice itself
        os.nice(19)
    try:
        make_clusters(store, file)
    except (UserError, OSError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
