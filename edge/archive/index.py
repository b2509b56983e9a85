"""An index of a dataset's embeddings: a graph of near ones (HNSW, by usearch), made once.

Malkov and Yashunin 2018. The graph has embeddings in 8 bits; what it finds, a few times as much as
is wanted, is put in order by the embeddings in 16 bits, which lie beside it. It stands in the
dataset's folder `index` and names the files that it is of: where these are others now, it is made
anew.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.archive.embeddings import count_embeddings, embeddings_of
from edge.archive.reading import column_files
from edge.bundle.digest import canonical_digest
from edge.bundle.strictjson import read_json
from edge.errors import UserError
from edge.extras import how_to_install
from edge.files import replacing_folder
from edge.types import Array

__all__ = ["FOLDER", "Index", "open_index"]

FOLDER, MANIFEST = "index", "index.json"
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 1600
OVERSAMPLING = 4
LEVELS = 127
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index at hand, of which only what is looked at is in memory. Used by one thread."""

    graph: Any
    vectors: NDArray[np.float16]
    spans: NDArray[np.int64]
    recordings: NDArray[np.int32]
    paths: list[str]

    @staticmethod
    def at(folder: Path) -> Index:
        """Open what `build` has written."""
        graph = _library().Index.restore(str(folder / "graph.usearch"), view=True)
        graph.expansion_search = EXPANSION_SEARCH
        paths = json.loads((folder / "paths.json").read_text(encoding="utf-8"))
        return Index(
            graph=graph,
            vectors=np.load(folder / "vectors.npy", mmap_mode="r"),
            spans=np.load(folder / "spans.npy", mmap_mode="r"),
            recordings=np.load(folder / "recordings.npy", mmap_mode="r"),
            paths=paths,
        )

    def nearest(self, vector: Array, top: int) -> Iterator[tuple[float, str, tuple[int, int]]]:
        """Yield similarity, path and samples of the windows nearest to a unit `vector` (D,)."""
        found = self.graph.search(_in_8_bits(vector[np.newaxis])[0], OVERSAMPLING * top)
        keys = np.sort(found.keys.astype(np.int64))
        similarities = self.vectors[keys].astype(np.float32) @ vector
        for i in np.argsort(-similarities, kind="stable")[:top]:
            start, end = self.spans[keys[i]].tolist()
            yield float(similarities[i]), self.paths[self.recordings[keys[i]]], (start, end)


def open_index(folder: Path, dimensions: int, *, say: Say) -> Index:
    """Return the index of the dataset at `folder`, made anew where it is not of what is there.

    What is there are embeddings of so many `dimensions`; others are damaged.
    """
    place, state = folder / FOLDER, _state(folder, dimensions)
    build = partial(_build, folder, state, dimensions, say=say)
    if not (place / MANIFEST).exists():
        build()
        return Index.at(place)
    made = read_json(place / MANIFEST)
    if made.get("state") != state:
        say("the dataset has changed since its index was made: it is made anew")
        build()
    elif made.get("sizes") != _sizes(place):  # a graph that is cut off would end the process
        say("the index is damaged: it is made anew")
        build()
    return Index.at(place)


def _build(folder: Path, state: str, dimensions: int, *, say: Say) -> None:
    """Write the index of the dataset at `folder`, whole or not at all."""
    count, began_s = count_embeddings(folder), time.perf_counter()
    say(f"making the index of {count} windows, which is done once")
    with replacing_folder(folder / FOLDER) as staging:
        made = _fill(folder, staging, count, dimensions)
        content = {"state": state, "windows": made, "sizes": _sizes(staging)}
        (staging / MANIFEST).write_text(json.dumps(content) + "\n", encoding="utf-8")
    say(f"made in {time.perf_counter() - began_s:.0f} s")


def _fill(folder: Path, staging: Path, count: int, dimensions: int) -> int:
    """Write all files of an index of `count` windows at most, and return how many there are."""
    graph, made = _graph(dimensions), 0
    paths: dict[str, int] = {}
    arrays = _arrays(staging, count, dimensions)
    for some in embeddings_of(folder, dimensions):
        numbers = np.array([paths.setdefault(path, len(paths)) for path in some.paths], np.int32)
        own = slice(count - made)  # somebody may have doubled rows
        end = min(made + len(some.vectors), count)
        arrays["vectors"][made:end] = some.vectors[own]
        arrays["spans"][made:end] = some.spans[own]
        arrays["recordings"][made:end] = numbers[some.recordings[own]]
        graph.add(np.arange(made, end), _in_8_bits(some.vectors[own]))
        made = end
    graph.save(str(staging / "graph.usearch"))
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]  # of a file in memory
    (staging / "paths.json").write_text(json.dumps(list(paths)), encoding="utf-8")
    return made


def _graph(dimensions: int) -> Any:
    return _library().Index(
        ndim=dimensions,
        metric="cos",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )


def _arrays(staging: Path, count: int, dimensions: int) -> dict[str, NDArray[Any]]:
    """Return arrays in files, of which the last rows may stay empty."""
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        "vectors": (np.float16, (count, dimensions)),
        "spans": (np.int64, (count, 2)),
        "recordings": (np.int32, (count,)),
    }
    return {
        name: np.lib.format.open_memmap(
            staging / f"{name}.npy", mode="w+", dtype=dtype, shape=shape
        )
        for name, (dtype, shape) in shapes.items()
    }


def _in_8_bits(vectors: Array) -> NDArray[np.int8]:
    """Return vectors (N, D) in whole numbers, each stretched to all levels: cosines stay."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    levels: NDArray[np.int8] = np.rint(vectors * (LEVELS / np.maximum(largest, 1e-12))).astype(
        np.int8
    )
    return levels


def _sizes(place: Path) -> dict[str, int]:
    """Return the size of each file of an index, in bytes."""
    return {file.name: file.stat().st_size for file in place.iterdir() if file.name != MANIFEST}


def _state(folder: Path, dimensions: int) -> str:
    """Return a digest of which files the embeddings are in, by name, size and time."""
    found = [(file, file.stat()) for file in column_files(folder, "embeddings")]
    files = {
        str(file.relative_to(folder)): [status.st_size, status.st_mtime_ns]
        for file, status in found
    }
    return canonical_digest([dimensions, files])


def _library() -> Any:
    """Return usearch; raises `UserError`, which says how to install it, where there is none."""
    try:
        return importlib.import_module("usearch.index")
    except ImportError as exc:
        reason = "a search among more than a million windows needs usearch"
        raise UserError(f"{reason} ({how_to_install('archive')})") from exc
