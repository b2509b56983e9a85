"""One recording heard in a process of its own, with what the dataset keeps of its windows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.archive.keeping import AnswersKept, Keeps, window_rows
from edge.archive.parquet import Row, table_of
from edge.archive.schema import SHARED
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replay import replayer_in_worker
from edge.replay.replayer import Outcome, Replayer

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Hearing", "Work", "hear", "hear_in_worker"]


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What became of a recording, and its rows of further tables, without the `SHARED` columns."""

    outcome: Outcome
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


class Work(Protocol):
    """What a process of its own does with a recording."""

    def __call__(self, recording: Recording, keeps: Keeps) -> Hearing: ...


def hear_in_worker(recording: Recording, keeps: Keeps) -> Hearing:
    """Hear a recording in a process of the pool, with its own model."""
    return hear(replayer_in_worker(), recording, keeps)


def hear(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    """Hear a recording; its failure is a value, so that the others go on."""
    answers = None if keeps.embeddings is None else AnswersKept(keeps.embeddings)
    with tempfile.TemporaryDirectory(prefix="edge-archive-") as folder:
        spool = Path(folder, "windows") if keeps.windows else None
        outcome = replayer.outcome(recording, spool=spool, listener=answers)
        if not isinstance(outcome, ReplayResult):
            return Hearing(outcome=outcome)
        rows: dict[str, list[Row]] = {}
        if keeps.windows:
            predictions = outcome.predictions()
            rows["windows"] = window_rows(predictions, outcome.clock, replayer.provenance)
        if answers is not None:
            rows["embeddings"] = answers.rows(outcome.clock)
        tables = {name: _table(name, found, keeps) for name, found in rows.items()}
        return Hearing(outcome=replace(outcome, spool=None), tables=tables)


def _table(name: str, rows: Sequence[Row], keeps: Keeps) -> pa.Table:
    schema = keeps.schema(name)
    for column in SHARED:
        schema = schema.remove(schema.get_field_index(column))
    return table_of(rows, schema)
