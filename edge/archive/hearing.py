"""One recording heard in a process of its own, with what the dataset keeps of its windows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.archive.keeping import AnswersKept, Keeps, window_rows
from edge.archive.parquet import Row, concatenated, table_of
from edge.archive.schema import SHARED
from edge.archive.stores import at_hand
from edge.errors import AudioError
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Outcome, Replayer

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Hearing", "Kept", "Work", "hear", "kept_of", "table_without"]


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What became of a recording, and its rows of further tables, without the `SHARED` columns."""

    outcome: Outcome
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


class Work(Protocol):
    """What a worker does with a recording."""

    def __call__(self, replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing: ...


def hear(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    """Hear a recording; its failure is a value, so that the others go on."""
    try:
        with at_hand(recording) as near:
            return _hear(replayer, near, keeps)
    except AudioError as exc:
        return Hearing(outcome=exc)


def _hear(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    answers = None if keeps.embeddings is None else AnswersKept(keeps.embeddings)
    with kept_of(replayer, keeps) as kept:
        outcome = replayer.outcome(recording, spool=kept.spool, listener=answers)
        if answers is None or not isinstance(outcome, ReplayResult):
            return kept.hearing(outcome)
        rows = answers.rows(outcome.clock)
        return kept.hearing(outcome, [table_without(rows, "embeddings", keeps)])


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where windows are while a recording is heard: in the file `spool`, where they are kept."""

    provenance: Provenance
    keeps: Keeps
    spool: Path | None

    def hearing(self, outcome: Outcome, embeddings: Sequence[pa.Table] = ()) -> Hearing:
        """Return what became of the recording."""
        if not isinstance(outcome, ReplayResult):
            return Hearing(outcome=outcome)
        tables: dict[str, pa.Table] = {}
        if self.keeps.windows:
            rows = window_rows(outcome.predictions(), outcome.clock, self.provenance)
            tables["windows"] = table_without(rows, "windows", self.keeps)
        if embeddings:
            tables["embeddings"] = concatenated(embeddings)
        return Hearing(outcome=replace(outcome, spool=None), tables=tables)


@contextmanager
def kept_of(replayer: Replayer, keeps: Keeps) -> Iterator[Kept]:
    """Give the place for what is kept of one recording."""
    if not keeps.windows:
        yield Kept(provenance=replayer.provenance, keeps=keeps, spool=None)
        return
    with tempfile.TemporaryDirectory(prefix="edge-archive-") as folder:
        spool = Path(folder, "windows")
        yield Kept(provenance=replayer.provenance, keeps=keeps, spool=spool)


def table_without(rows: Sequence[Row], name: str, keeps: Keeps) -> pa.Table:
    """Return rows of a table without its `SHARED` columns."""
    schema = keeps.schema(name)
    for column in SHARED:
        schema = schema.remove(schema.get_field_index(column))
    return table_of(rows, schema)
