"""Embeddings of a dataset, in batches of bounded memory, with the windows that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.archive.checking import check_batch, check_length, readable
from edge.archive.manifest import kept_in
from edge.archive.parquet import damage_said, opened, read_table
from edge.archive.reading import column_files, heard_files, stored_vectors, vectors_of
from edge.types import Array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Embedded", "count_embeddings", "embeddings_of", "normalised", "sample_rate_of"]

BATCH_BYTES = 64_000_000  # of vectors as float32
COLUMNS = ("path", "start_sample", "end_sample", "embedding", "embedding_scale")


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Some windows with their embeddings (N, D) float32, each of length 1.

    `spans` (N, 2) are their first samples and those after their last; `recordings` (N,) say which
    of `paths` each is of.
    """

    vectors: Array
    spans: NDArray[np.int64]
    recordings: NDArray[np.int32]
    paths: list[str]


def embeddings_of(folder: Path, dimensions: int | None = None) -> Iterator[Embedded]:
    """Yield all embeddings in the dataset at `folder`, in an order that rests as it does.

    A file with embeddings of other `dimensions` is damaged; None: of others than the first has.
    """
    heard = set(map(str, heard_files(folder, ["path"])["path"].to_pylist()))
    for file in column_files(folder, "embeddings"):
        with damage_said(file):
            for batch in _batches(file):
                found = _embedded(batch, heard)
                if len(found.vectors):
                    check_length(found.vectors.shape[1], dimensions, "embedding")
                    dimensions = found.vectors.shape[1]
                    yield found


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    with opened(file) as source:
        parts = parquet.ParquetFile(source)
        if not parts.metadata.num_rows:
            return
        columns = readable("embeddings", parts.schema_arrow, COLUMNS)
        dimensions = 0
        for batch in parts.iter_batches(1, columns=columns):
            check_batch("embeddings", batch)
            dimensions = stored_vectors(batch, "embedding").of.shape[1]
            break
        rows = max(1, BATCH_BYTES // (4 * max(dimensions, 256)))
        for batch in parts.iter_batches(rows, columns=columns):
            check_batch("embeddings", batch)
            yield batch


def _embedded(batch: Any, heard: set[str]) -> Embedded:
    names = batch["path"].dictionary_encode()
    paths = names.dictionary.to_pylist()
    recordings = names.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    counts = np.array([path in heard for path in paths], bool)
    vectors = vectors_of(batch, "embedding")
    kept = counts[recordings[vectors.rows]]
    rows = vectors.rows[kept]
    spans = [batch[name].to_numpy(zero_copy_only=False) for name in ("start_sample", "end_sample")]
    return Embedded(
        vectors=normalised(vectors.of[kept]),
        spans=np.stack(spans, axis=1)[rows],
        recordings=recordings[rows],
        paths=paths,
    )


def normalised(vectors: Array) -> Array:
    """Return vectors (..., D) with length 1; those of no length stay as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Array = (vectors / np.maximum(lengths, np.float32(1e-12))).astype(np.float32)
    return result


def count_embeddings(folder: Path) -> int:
    """Return how many windows of a dataset the network was asked of, gated ones included."""
    counts = heard_files(folder, ["embeddings"])["embeddings"].to_numpy(zero_copy_only=False)
    return int(np.nansum(counts)) if len(counts) else 0


def sample_rate_of(folder: Path) -> int | None:
    """Return the rate of the samples that windows are counted in, None of an empty dataset."""
    assert kept_in(folder).embeddings is not None
    for file in column_files(folder, "embeddings"):
        found = read_table(file, "embeddings", ["sample_rate_hz"])
        if found is not None and len(found):
            return int(found["sample_rate_hz"][0].as_py())
    return None
