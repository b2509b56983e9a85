"""What people answered about detections: a table of corrections.

path      the recording or clip, as the table's folder or the working directory has it
start_s   from where in it, in seconds
end_s     to where
label     what was detected, empty where it was unknown
answer    what it is, in the words of `train.corpus.answer_rows`
who       who says so, perhaps empty

The columns stand in any order, perhaps with others beside them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from edge.bundle import Label
from edge.bundle.labels import check_label, plain_name
from edge.errors import SpecError, UserError, shown
from train.corpus.answer_rows import (
    NOISE,
    RIGHT,
    UNKNOWN,
    WRONG,
    AnswerRow,
    Names,
    answer_rows,
    names_of,
)
from train.corpus.tables import fault_in, number_in

__all__ = ["Answer", "read_answers"]

NEEDED = ("path", "start_s", "end_s", "label")
WORDS = (RIGHT, WRONG, NOISE, UNKNOWN)
SAME = 0.5  # of the shorter of two stretches: what overlaps so much is one event


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What somebody said of a stretch: that it `is` a label, or only what it `is_not`.

    `is_noise`: it is no animal. With none of these, it is an animal that nobody knows.
    """

    path: Path
    start_s: float
    end_s: float
    detected: str
    given: str
    who: str
    line: int

    @property
    def label(self) -> str:
        """What it is, "" where this was not said."""
        if self.given == RIGHT:
            return self.detected
        return "" if self.given in WORDS else self.given

    @property
    def denied(self) -> str:
        """What it is not, "" where this was not said."""
        return "" if self.given == RIGHT or self.label == self.detected else self.detected

    @property
    def noise(self) -> bool:
        """Whether it is no animal."""
        return self.given == NOISE

    @property
    def wrong_only(self) -> bool:
        """Whether nothing is said but what it is not."""
        return self.given == WRONG

    def __str__(self) -> str:
        what = self.label or f"{self.given} ({self.detected or 'unknown'} detected)"
        return f"{what}{f', says {self.who}' if self.who else ''}"


def read_answers(table: Path, labels: Sequence[Label] = ()) -> list[Answer]:
    """Return the answers of a table, each stretch's once; names of `labels` stand for them.

    Raises `UserError`, which names file and line; also for answers that contradict each other.
    """
    names = names_of(labels)
    answers = [_answer(table, row, names) for row in answer_rows(table, NEEDED)]
    if not answers:
        raise UserError(f"{table}: has no answers")
    by_path: dict[Path, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_path[answer.path].append(answer)
    for own in by_path.values():
        _refuse_contradictions(table, own)
    return answers


def _answer(table: Path, row: AnswerRow, names: Names) -> Answer:
    start, end = (number_in(table, row.line, row.cells, name) for name in ("start_s", "end_s"))
    if not 0 <= start < end:
        raise fault_in(table, row.line, f"{start:g} to {end:g} s is no stretch of a recording")
    given, detected = row.answer, row.cells["label"]
    detected = "" if detected == UNKNOWN else detected
    if given in (RIGHT, WRONG) and not detected:
        raise fault_in(table, row.line, f"'{given}' says nothing where no label was detected")
    if given not in WORDS:
        given = _named(table, row, names)
    _check(table, row.line, detected or "none")
    return Answer(
        path=_path(table, row.line, row.cells["path"]),
        start_s=start,
        end_s=end,
        detected=detected,
        given=given,
        who=row.cells.get("who", ""),
        line=row.line,
    )


def _named(table: Path, row: AnswerRow, names: Names) -> str:
    """Return the label of the species that a row names, a new one where there is none for it."""
    known = names.get(plain_name(row.answer), set())
    if len(known) > 1:
        several = ", ".join(sorted(known))
        raise fault_in(table, row.line, f"{shown(row.answer)} is the name of {several}: say which")
    label = next(iter(known), "_".join(plain_name(row.answer).split()))
    return _check(table, row.line, label)


def _check(table: Path, line: int, label: str) -> str:
    try:
        return check_label(label)
    except SpecError as exc:
        raise fault_in(table, line, exc.fault.reason) from exc


def _path(table: Path, line: int, name: str) -> Path:
    for path in (Path(name), table.parent / name):
        if name and os.path.isfile(path):  # False for a name too long for the file system
            return path.resolve()
    raise fault_in(table, line, f"there is no recording {shown(name)}")


def _refuse_contradictions(table: Path, answers: Sequence[Answer]) -> None:
    """Raise `UserError` for the first two answers on one event that cannot both be right."""
    for one, other in combinations(answers, 2):
        common = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
        shorter = min(one.end_s - one.start_s, other.end_s - other.start_s)
        if common >= SAME * shorter and _contradict(one, other):
            raise UserError(
                f"{table}, lines {one.line} and {other.line}: {one.path.name}, "
                f"{max(one.start_s, other.start_s):g} s: {one} against {other}",
                suggestion="keep one of them",
            )


def _contradict(one: Answer, other: Answer) -> bool:
    if one.label and other.label:
        # Two species may call at once; of one detection there is one answer.
        return one.label != other.label and one.detected == other.detected
    for label, answer in ((one.label, other), (other.label, one)):
        if label and (answer.noise or answer.denied == label):
            return True
    return {one.given, other.given} == {NOISE, UNKNOWN}
