"""What a dataset keeps of every window, beside the detections; and how a process collects it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edge.archive.parquet import Row
from edge.archive.schema import PRECISIONS, Precision, arrow_schema
from edge.clock import Clock
from edge.detect.classifier import Answer
from edge.detect.decision import outcome_of
from edge.provenance import Provenance
from edge.store.vectors import in_levels
from edge.types import AudioBlock, Prediction, Score

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AnswersKept", "Keeps", "window_rows"]

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class Keeps:
    """Which tables a dataset has beside `detections` and `files`.

    `embeddings` is the precision of what `network`, by its digest, says of each window; None: there
    are none.
    """

    windows: bool = False
    embeddings: Precision | None = None
    network: str | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all its tables, in the order in which a part is written."""
        further = {"windows": self.windows, "embeddings": self.embeddings is not None}
        return (*(name for name, kept in further.items() if kept), "detections", "files")

    def schema(self, table: str) -> pa.Schema:
        """Return the schema of one of its tables."""
        return arrow_schema(table, self.embeddings or "float32")

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `parse` is the inverse."""
        return asdict(self)

    @staticmethod
    def parse(mapping: object) -> Keeps:
        """Return what a dataset says of itself; nothing further of one that says nothing."""
        given = mapping if isinstance(mapping, Mapping) else {}
        precision, network = given.get("embeddings"), given.get("network")
        return Keeps(
            windows=given.get("windows") is True,
            embeddings=cast("Precision", precision) if precision in PRECISIONS else None,
            network=network if isinstance(network, str) else None,
        )

    def __str__(self) -> str:
        kept = ["windows"] if self.windows else []
        kept += [f"{self.embeddings} embeddings"] if self.embeddings else []
        return " and ".join(kept) or "detections only"


class AnswersKept:
    """Collects what the network says of each window of one recording: a `Listener`.

    It is heard from the sample `start` on.
    """

    def __init__(self, precision: Precision, start: int = 0) -> None:
        self._precision = precision
        self._windows: list[Prediction] = []
        self._answers: list[Row] = []
        self._resumed: list[int] = []  # samples at which sound goes on behind a gap
        self._end = start

    def block(self, block: AudioBlock) -> None:
        """See `Listener.block`."""
        if block.start_sample > self._end:
            self._resumed.append(block.start_sample)
        self._end = block.end_sample

    def answered(self, p: Prediction, answers: Sequence[Answer]) -> None:
        """See `Listener.answered`; of several networks, the first one's counts."""
        self._windows.append(p)
        self._answers.append(self._stored(answers[0]) if answers else {})

    def rows(self, clock: Clock) -> list[Row]:
        """Return the rows of the table `embeddings`, but for what all of a recording share."""
        starts = np.array([p.start_sample for p in self._windows])
        behind: dict[int, list[int]] = {}
        for sample in self._resumed:
            # No window reaches over a gap: the last that starts before it is the last before it.
            behind.setdefault(int(np.searchsorted(starts, sample)) - 1, []).append(sample)
        pairs = zip(self._windows, self._answers, strict=True)
        return [
            {**_place(p, clock), **asdict(p.health), "sound_from": behind.get(i, []), **answer}
            for i, (p, answer) in enumerate(pairs)
        ]

    def _stored(self, answer: Answer) -> Row:
        embedding = answer.embedding[0]
        cell = _single if self._precision == "float32" else _half
        stored: Row = {
            "logits": cell(answer.logits[0]),
            "frames": None if answer.frames is None else cell(answer.frames),
        }
        if self._precision != "int8":
            return {**stored, "embedding": cell(embedding)}
        levels, scale = in_levels(embedding)
        return {**stored, "embedding": levels.tobytes(), "embedding_scale": scale}


def window_rows(
    predictions: Iterable[Prediction], clock: Clock, provenance: Provenance
) -> list[Row]:
    """Return rows of the table `windows`, but for what all windows of a recording share."""
    return [
        {
            **_place(p, clock),
            "end_s": p.end_s,
            "label": p.label,
            "outcome": None if p.health.gated else outcome_of(p, is_animal=provenance.is_animal),
            "nearest": p.nearest,
            "score": p.score,
            "novelty": p.novelty,
            "animal": p.animal,
            "labels": _scores(p.accepted),
            "top": _scores(p.top),
            "unjudged": "stuck" if p.health.stuck else "dead" if p.health.dead else None,
        }
        for p in predictions
    ]


def _place(p: Prediction, clock: Clock) -> Row:
    return {
        "start_utc": clock.utc(p.start_sample) if clock.dated else None,
        "start_s": p.start_s,
        "start_sample": p.start_sample,
        "end_sample": p.end_sample,
        "sample_rate_hz": p.sample_rate_hz,
    }


def _scores(scores: Sequence[Score]) -> list[Row]:
    return [{"label": s.label, "score": s.score} for s in scores]


def _single(numbers: NDArray[np.float32]) -> bytes:
    return numbers.astype("<f4").tobytes()


def _half(numbers: NDArray[np.float32]) -> bytes:
    return np.clip(numbers, -LARGEST, LARGEST).astype("<f2").tobytes()
