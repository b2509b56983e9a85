"""Detections that people have reviewed: which label, with which score, and whether it is right.

What such a table looks like, `train.corpus.answer_rows` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import Label
from edge.bundle.digest import sha256_of
from edge.bundle.labels import plain_name
from edge.errors import UserError, shown
from train.corpus.answer_rows import (
    NOISE,
    RIGHT,
    UNKNOWN,
    WRONG,
    AnswerRow,
    answer_rows,
    content_of,
    names_of,
)
from train.corpus.tables import fault_in

__all__ = ["Review", "Reviewed", "read_reviewed"]

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Review:
    """One detection and its answer; `line` is where it stands in its file."""

    line: int
    label: str
    score: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The reviewed detections of a file, each once; `digest` names the file's content."""

    file: Path
    digest: str
    reviews: tuple[Review, ...]

    def of(self, label: str) -> list[Review]:
        """Return those of one label."""
        return [review for review in self.reviews if review.label == label]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each label, most first."""
        labels = [review.label for review in self.reviews]
        found = {label: labels.count(label) for label in sorted(set(labels))}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def read_reviewed(file: Path, labels: Sequence[Label]) -> Reviewed:
    """Read the reviewed detections in `file`, of a bundle with these labels.

    Rows without an answer, unsure ones and unknown sounds are left out. Raises `UserError`, which
    names the line, for a label, score or answer that cannot be, and for two answers to one
    detection.
    """
    content = content_of(file)
    reader = _Reader(file, labels)
    found: dict[object, Review] = {}
    for row in answer_rows(file, ("label", "score"), content=content):
        review = reader.review(row)
        if review is None:
            continue
        key = _identity(row.cells) or row.line
        before = found.get(key)
        if before is not None and before.right != review.right:
            raise UserError(
                f"{file}: lines {before.line} and {row.line} answer one detection of "
                f"{review.label} differently"
            )
        found[key] = review
    if not found:
        raise UserError(f"{file}: has no reviewed detection")
    return Reviewed(file=file, digest=sha256_of(content), reviews=tuple(found.values()))


class _Reader:
    def __init__(self, file: Path, labels: Sequence[Label]) -> None:
        self._file = file
        self._labels = {label.label for label in labels}
        self._names = names_of(labels)

    def review(self, row: AnswerRow) -> Review | None:
        """Return the review in a row, None where there is none."""
        label = row.cells["label"]
        if label in ("", "unknown"):
            return None
        if label not in self._labels:
            raise fault_in(self._file, row.line, f"{shown(label)} is no label of the bundle")
        return Review(
            line=row.line,
            label=label,
            score=self._score(row.line, row.cells["score"]),
            right=self._is_right(label, row),
        )

    def _is_right(self, label: str, row: AnswerRow) -> bool:
        if row.answer in (RIGHT, WRONG, NOISE, UNKNOWN):
            return row.answer == RIGHT
        named = self._names.get(plain_name(row.answer), set())
        if not named and not row.said:
            raise fault_in(
                self._file,
                row.line,
                f"the answer {shown(row.answer)} is none of right, wrong, noise, unknown, unsure, "
                "'it is SPECIES', and no label of the bundle",
            )
        return label in named

    def _score(self, line: int, text: str) -> float:
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not 0 <= score <= 1:
            raise fault_in(self._file, line, f"{shown(text)} is no score from 0 to 1")
        return score


def _identity(row: Row) -> tuple[str, ...] | None:
    """Return what tells a detection from others; None where its row does not say."""
    if row.get("id"):
        return (row["id"],)
    if row.get("path") and row.get("start_s"):
        return (row["path"], row["start_s"], row["label"])
    return None
