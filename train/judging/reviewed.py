"""Detections that people have reviewed: which label, with which score, and whether it is right.

A CSV file, with commas, semicolons or tabs, or JSON lines, as a replay or the store gives them out,
with a column more: the answer.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle import Label
from edge.bundle.digest import sha256_of
from edge.bundle.labels import plain_name
from edge.errors import UserError, shown

__all__ = ["Review", "Reviewed", "read_reviewed"]

ANSWERS = ("answer", "right", "true_label")  # columns, the first that there is
ALIASES = {"species code": "label", "file": "path", "source": "path", "begin path": "path"}
RIGHT = {"right", "correct", "true", "yes", "1"}
WRONG = {"wrong", "incorrect", "false", "no", "0", "noise"}
LEFT_OUT = {"", "unsure", "?"}
IT_IS = "it is "
LARGEST_BYTES = 200_000_000
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
    content = _content(file)
    reader = _Reader(file, labels)
    found: dict[object, Review] = {}
    for line, row in _rows(file, content):
        review = reader.review(line, row)
        if review is None:
            continue
        key = _identity(row) or line
        before = found.get(key)
        if before is not None and before.right != review.right:
            raise UserError(
                f"{file}: lines {before.line} and {line} answer one detection of "
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
        self._names: dict[str, set[str]] = {}
        for label in labels:
            for name in (label.label, label.common_name, label.scientific_name):
                self._names.setdefault(plain_name(name), set()).add(label.label)

    def review(self, line: int, row: Row) -> Review | None:
        """Return the review in a row, None where there is none."""
        label, where = row["label"].strip(), f"{self._file}: line {line}"
        answer = row[next(name for name in ANSWERS if name in row)].strip().casefold()
        if answer in LEFT_OUT or label in ("", "unknown"):
            return None
        if label not in self._labels:
            raise UserError(f"{where}: {shown(label)} is no label of the bundle")
        return Review(
            line=line,
            label=label,
            score=_score(row["score"], where),
            right=self._is_right(label, answer, where),
        )

    def _is_right(self, label: str, answer: str, where: str) -> bool:
        if answer in RIGHT or answer in WRONG:
            return answer in RIGHT
        named = self._names.get(plain_name(answer.removeprefix(IT_IS).strip()), set())
        if not named and not answer.startswith(IT_IS):
            raise UserError(
                f"{where}: the answer {shown(answer)} is none of right, wrong, noise, unsure, "
                "'it is SPECIES', and no label of the bundle"
            )
        return label in named


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise UserError(f"{where}: {shown(text)} is no score from 0 to 1")
    return score


def _identity(row: Row) -> tuple[str, ...] | None:
    """Return what tells a detection from others; None where its row does not say."""
    if row.get("id"):
        return (row["id"],)
    if row.get("path") and row.get("start_s"):
        return (row["path"], row["start_s"], row["label"])
    return None


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise UserError(f"{file}: cannot be read ({exc.strerror or exc})") from exc
    if len(content) > LARGEST_BYTES:
        raise UserError(f"{file}: is larger than {LARGEST_BYTES // 1_000_000} MB")
    return content


def _rows(file: Path, content: bytes) -> Iterator[tuple[int, Row]]:
    """Yield the number and the columns of each line, by their names in small letters."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UserError(f"{file}: is not UTF-8 text") from exc
    rows = _json_rows if text.lstrip().startswith("{") else _csv_rows
    for line, row in rows(file, text):
        named = {ALIASES.get(name, name): value for name, value in row.items()}
        lacking = [name for name in ("label", "score") if name not in named]
        if not any(name in named for name in ANSWERS):
            lacking.append("answer")
        if lacking:
            raise UserError(f"{file}: line {line}: has no column '{lacking[0]}'")
        yield line, named


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in reader:
            cells = {str(name).strip().casefold(): value or "" for name, value in row.items()}
            if None in row:
                raise UserError(f"{file}: line {reader.line_num}: has more cells than the header")
            yield reader.line_num, cells
    except csv.Error as exc:
        raise UserError(f"{file}: line {reader.line_num}: cannot be read as CSV ({exc})") from exc


def _json_rows(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row: Any = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise UserError(f"{file}: line {line}: is no JSON") from exc
        if not isinstance(row, dict):
            raise UserError(f"{file}: line {line}: is no JSON object")
        yield line, {name.casefold(): _text(value) for name, value in row.items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)
