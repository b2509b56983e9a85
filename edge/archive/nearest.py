"""Which windows of a dataset have embeddings near to one: all are looked at, or an index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.archive.embeddings import count_embeddings, embeddings_of, normalised
from edge.archive.index import open_index
from edge.types import Array

__all__ = ["EXACT", "Match", "nearest"]

EXACT = 1_000_000  # windows: of more, there is an index


@dataclass(frozen=True, kw_only=True, order=True)
class Match:
    """A window, from `start_sample` on, and the cosine of its embedding with the one given."""

    similarity: float
    path: str
    start_sample: int
    end_sample: int


def nearest(
    folder: Path,
    vector: Array,
    top: int,
    *,
    exact: int = EXACT,
    say: Callable[[str], None] = lambda line: None,
) -> list[Match]:
    """Return the `top` windows whose embeddings are nearest to `vector` (D,), nearest first.

    Of more than `exact` windows an index finds them, nearly all; it is made where there is none, or
    one of the dataset as it was before. `say` gets what takes long.
    """
    vector = normalised(vector)
    if count_embeddings(folder) <= exact:
        return _exact(folder, vector, top)
    index = open_index(folder, len(vector), say=say)
    return [
        Match(similarity=s, path=path, start_sample=start, end_sample=end)
        for s, path, (start, end) in index.nearest(vector, top)
    ]


def _exact(folder: Path, vector: Array, top: int) -> list[Match]:
    best: list[Match] = []
    for some in embeddings_of(folder, len(vector)):
        similarities = some.vectors @ vector
        best += [
            Match(
                similarity=float(similarities[i]),
                path=some.paths[some.recordings[i]],
                start_sample=int(some.spans[i, 0]),
                end_sample=int(some.spans[i, 1]),
            )
            for i in _best(similarities, top)
        ]
        best = sorted(best, key=_order)[:top]
    return best


def _best(similarities: Array, top: int) -> NDArray[np.intp]:
    if len(similarities) <= top:
        return np.arange(len(similarities))
    return np.argpartition(-similarities, top - 1)[:top]


def _order(match: Match) -> tuple[float, str, int]:
    return -match.similarity, match.path, match.start_sample
