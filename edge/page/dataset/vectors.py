"""Embeddings of unknown events, by which those that sound alike are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.archive.parquet import read_table
from edge.archive.reading import vectors_of
from edge.types import Array

__all__ = ["unknown_vectors"]

TABLE = "embeddings"
PLACE = ("path", "start_sample")


def unknown_vectors(
    dataset: Path, part: str, detections: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], Array]:
    """Return the embedding (D,) float32 of the peak of each unknown detection of a part, by path
    and id; none of a dataset that keeps none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = {
        (row["path"], row["peak_sample"]): row["id"] for row in detections if row["label"] is None
    }
    file = dataset / TABLE / part
    if not wanted or not file.is_file():
        return {}
    found = read_table(file, TABLE, (*PLACE, "embedding", "embedding_scale"))
    if found is None:
        return {}
    starts = pa.array(sorted({start for _, start in wanted}), pa.int64())
    found = found.filter(pc.is_in(found["start_sample"], value_set=starts))
    vectors = vectors_of(found, "embedding")
    paths, starts_found = (found[name].to_pylist() for name in PLACE)
    places = [(paths[row], starts_found[row]) for row in vectors.rows]
    return {
        (place[0], wanted[place]): vector
        for place, vector in zip(places, vectors.of, strict=True)
        if place in wanted
    }
