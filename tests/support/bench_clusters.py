"""How pure clusters of unknown sounds are, and what making them takes.

`python -m tests.support.bench_clusters DATASET` judges those of a dataset that `edge archive hear
--embeddings` made of recordings in folders named after their species: its windows where something
unknown was heard, some seconds apart, stand for events. `... made-up` measures time and memory.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from edge.archive.embeddings import embeddings_of, sample_rate_of
from edge.archive.parquet import read_table
from edge.archive.reading import column_files
from edge.page.clustering import clustered
from edge.store.embedded import EmbeddedEvents
from edge.types import Array

APART_S = 5.0
SIZES = ((2000, 320), (2000, 1024), (5000, 320), (5000, 1024), (10_000, 320), (10_000, 1024))
EACH = 40
Codes = NDArray[np.int64]


def main() -> None:
    """Print the figures of a dataset, or one of the made-up ones: each takes its own process."""
    match sys.argv[1:]:
        case ["made-up", events, dimensions]:
            _made_up(int(events), int(dimensions))
        case ["made-up"]:
            print("python -m tests.support.bench_clusters made-up EVENTS DIMENSIONS, such as:")
            print("\n".join(f"{events} {dimensions}" for events, dimensions in SIZES))
        case [folder]:
            _judge(Path(folder))
        case _:
            sys.exit("DATASET, or: made-up [EVENTS DIMENSIONS]")


def _judge(folder: Path) -> None:
    vectors, paths = _unknown_windows(folder)
    recordings, species = (
        np.unique(names, return_inverse=True)[1]
        for names in (paths, [Path(path).parent.name for path in paths])
    )
    ids = [str(number) for number in range(len(vectors))]
    none = np.empty((0, vectors.shape[1]), np.float32)
    began_s = time.process_time()
    found = clustered(EmbeddedEvents(network="x", ids=ids, vectors=vectors, known=none))
    took_s = time.process_time() - began_s
    of = np.full(len(vectors), -1)
    for number, members in enumerate(found):
        of[[int(id) for id in members]] = number
    inside = of >= 0
    most = sum(int(np.bincount(species[of == number]).max()) for number in range(len(found)))
    several = [len(set(recordings[of == number])) > 1 for number in range(len(found))]
    print(f"{len(vectors)} events of {len(set(species))} species, {len(set(paths))} recordings")
    print(
        f"{len(found)} clusters, the largest of {max(map(len, found), default=0)}, {took_s:.1f} s"
    )
    print(f"in a cluster {inside.mean():.2f}, purity {most / max(1, inside.sum()):.2f}")
    print(f"adjusted Rand index: species {adjusted_rand_score(species[inside], of[inside]):.2f}")
    print(f"                  recordings {adjusted_rand_score(recordings[inside], of[inside]):.2f}")
    print(f"of several recordings {np.mean(several):.2f} of the clusters")


def _unknown_windows(folder: Path) -> tuple[Array, list[str]]:
    """Return embeddings (N, D) of windows in unknown events, and the recording of each."""
    rate_hz = sample_rate_of(folder)
    assert rate_hz is not None
    spans = _unknown_spans(folder)
    last: dict[str, int] = {}
    vectors, paths = [], []
    for some in embeddings_of(folder):
        order = np.lexsort((some.spans[:, 0], some.recordings))
        for row in order:
            path, (first, end) = some.paths[some.recordings[row]], some.spans[row]
            middle = (first + end) // 2
            is_unknown = any(begin <= middle < over for begin, over in spans.get(path, ()))
            if is_unknown and first - last.get(path, -(1 << 60)) >= APART_S * rate_hz:
                last[path] = int(first)
                vectors.append(some.vectors[row])
                paths.append(path)
    return np.stack(vectors), paths


def _unknown_spans(folder: Path) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for file in column_files(folder, "detections"):
        table = read_table(file, "detections", ("path", "label", "start_sample", "end_sample"))
        for row in [] if table is None else table.to_pylist():
            if row["label"] is None:
                span = (row["start_sample"], row["end_sample"])
                found.setdefault(row["path"], []).append(span)
    return found


def _made_up(events: int, dimensions: int) -> None:
    """Group events of kinds of which each has `EACH`, among others that are like none."""
    dice = np.random.default_rng(1)
    kinds = dice.standard_normal((events // EACH, 24)) @ dice.standard_normal((24, dimensions))
    vectors = dice.standard_normal((events, dimensions), np.float32)
    vectors *= np.where(np.arange(events) % 4 == 0, np.float32(20), np.float32(1.5))[:, np.newaxis]
    vectors += kinds.astype(np.float32)[np.arange(events) % len(kinds)]
    ids = [str(number) for number in range(events)]
    known = dice.standard_normal((1000, dimensions), np.float32)
    began_s = time.process_time()
    found = clustered(EmbeddedEvents(network="x", ids=ids, vectors=vectors, known=known))
    took_s = time.process_time() - began_s
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    inside = sum(map(len, found))
    print(f"{events} x {dimensions}: {len(found)} clusters with {inside}, {took_s:.1f} s of CPU")
    print(f"{most_mb:.0f} MB at most, with what makes the embeddings up")


if __name__ == "__main__":
    main()
