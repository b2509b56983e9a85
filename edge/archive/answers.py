"""What a network said of the windows in a part of a dataset, as arrays, some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.archive.checking import check_batch, check_length, readable
from edge.archive.parquet import damage_said, opened, read_table
from edge.archive.reading import stored_vectors
from edge.archive.schema import VECTORS
from edge.detect.classifier import Answer
from edge.detect.rows import Windows
from edge.signal import SignalHealth
from edge.types import Array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AnswerBatch", "PartAnswers", "Span"]

BATCH_BYTES = 8_000_000  # of vectors as float32: what is judged should stay in the cache
HEALTH = tuple(field.name for field in fields(SignalHealth))
PLACES = ("start_sample", "end_sample", "sample_rate_hz")
MARGIN = 2  # windows before those that share audio with the next, whose neighbours count


@dataclass(frozen=True, kw_only=True)
class Span:
    """The windows of one recording, from row `first` to before row `end` of a part."""

    path: str
    first: int
    end: int

    @property
    def count(self) -> int:
        """How many windows they are."""
        return self.end - self.first


@dataclass(frozen=True, kw_only=True)
class AnswerBatch:
    """Rows of a part from `start` on, of which those from `first` to before `end` are next.

    The others share audio with these. `spans` are the recordings that the next ones are of. Of a
    window that was gated, the answer is zeros.
    """

    spans: Sequence[Span]
    start: int
    first: int
    end: int
    windows: Windows
    answer: Answer


class PartAnswers:
    """A file of the table `embeddings`, of a network with so many dimensions and labels.

    There is nothing in it where it is gone or damaged.
    """

    def __init__(self, file: Path, dimensions: int, labels: int) -> None:
        self._file = file
        self._widths = {"embedding": dimensions, "logits": labels}
        table = read_table(file, "embeddings", ("path", *PLACES, *HEALTH, "sound_from"))
        self._table = None if table is None or not len(table) else table
        self.spans = [] if self._table is None else _spans(self._table)

    def batches(self, most_bytes: int = BATCH_BYTES) -> Iterator[AnswerBatch]:
        """Yield all rows in their order, each once among those that are next; no more after what is
        damaged.
        """
        if self._table is not None:
            with damage_said(self._file):
                yield from self._batches(self._table, most_bytes)

    def _batches(self, table: pa.Table, most_bytes: int) -> Iterator[AnswerBatch]:
        windows, edges = _windows(table, self.spans), {span.first for span in self.spans}
        held: list[Array | None] = [None] * len(VECTORS)
        start = first = stop = 0
        for batch in self._vectors(most_bytes):
            before = stop - start
            held = [
                _followed(vectors, before, batch, name, self._widths.get(name))
                for name, vectors in zip(VECTORS, held, strict=True)
            ]
            stop += len(batch)
            # A window is settled once the one after it is at hand.
            end = stop if stop in edges or stop == len(windows.start) else stop - 1
            yield AnswerBatch(
                spans=self._spans_of(windows, first, end),
                start=start,
                first=first,
                end=end,
                windows=windows.part(start, stop),
                answer=_answer(*held),
            )
            kept = stop if end == stop else _needed(windows, end)
            held = [None if one is None else one[kept - start :] for one in held]
            start, first = kept, end

    def _spans_of(self, windows: Windows, first: int, end: int) -> Sequence[Span]:
        """Return the recordings with rows from `first` to before `end`."""
        if first == end:
            return []
        return self.spans[windows.recording[first] : windows.recording[end - 1] + 1]

    def _vectors(self, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns of vectors, some rows at a time."""
        from pyarrow import parquet

        with opened(self._file) as source:
            parts = parquet.ParquetFile(source)
            facts = parts.metadata
            stored = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
            rows = max(1, most_bytes * facts.num_rows // max(2 * stored, 1))
            # Another thread judges meanwhile; more of them would only wait for each other.
            columns = readable("embeddings", parts.schema_arrow, (*VECTORS, "embedding_scale"))
            for batch in parts.iter_batches(rows, columns=columns, use_threads=False):
                check_batch("embeddings", batch)
                yield batch


def _spans(table: pa.Table) -> list[Span]:
    paths = table["path"].combine_chunks().dictionary_encode()
    changes = np.flatnonzero(np.diff(paths.indices.to_numpy())) + 1
    edges = [0, *changes.tolist(), len(table)]
    names = paths.dictionary.to_pylist()
    places = paths.indices.to_numpy()[edges[:-1]].tolist()
    pairs = zip(places, pairwise(edges), strict=True)
    return [Span(path=names[k], first=first, end=end) for k, (first, end) in pairs]


def _windows(table: pa.Table, spans: Sequence[Span]) -> Windows:
    columns = {name: table[name].to_numpy() for name in (*PLACES, *HEALTH)}
    lengths = [span.count for span in spans]
    sounds: Any = table["sound_from"].combine_chunks()
    offsets = sounds.offsets.to_numpy()
    behind = np.flatnonzero(np.diff(offsets)).tolist()
    samples = sounds.flatten().to_pylist() if behind else []
    first = int(offsets[0])
    return Windows(
        start=columns["start_sample"],
        end=columns["end_sample"],
        recording=np.repeat(np.arange(len(spans)), lengths),
        sample_rate_hz=int(columns["sample_rate_hz"][0]),
        health={name: columns[name] for name in HEALTH},
        breaks={i: samples[offsets[i] - first : offsets[i + 1] - first] for i in behind},
    )


def _needed(windows: Windows, row: int) -> int:
    """Return the first row that is needed to go on at `row`, of the same recording."""
    first = int(np.searchsorted(windows.recording, windows.recording[row]))
    shares = windows.end[first:row] > windows.start[row]
    sharing = int(np.argmax(shares)) if shares.any() else row - first
    return first + max(0, sharing - MARGIN)


def _followed(
    before: Array | None, count: int, batch: pa.RecordBatch, column: str, width: int | None
) -> Array | None:
    """Return `count` rows `before`, followed by the vectors of a column; zeros stand for those that
    are not there.

    None where there are none at all, of a column whose `width` is not known.
    """
    stored = stored_vectors(batch, column)
    if len(stored.rows):
        check_length(stored.of.shape[1], width if before is None else before.shape[1], column)
        width = stored.of.shape[1]
    elif before is not None:
        width = before.shape[1]
    if width is None:
        return None
    whole = np.zeros((count + len(batch), width), np.float32)
    if before is not None:
        whole[:count] = before
    if len(stored.rows) == len(batch):
        stored.into(whole[count:])
    elif len(stored.rows):
        own = np.empty(stored.of.shape, np.float32)
        stored.into(own)
        whole[count + stored.rows] = own
    return whole


def _answer(embedding: Array | None, logits: Array | None, frames: Array | None) -> Answer:
    assert embedding is not None
    assert logits is not None
    if frames is not None:
        check_length(frames.shape[1] % logits.shape[1], 0, "the rest of frames")
        frames = frames.reshape(len(logits), -1, logits.shape[1])
    return Answer(embedding=embedding, logits=logits, frames=frames)
