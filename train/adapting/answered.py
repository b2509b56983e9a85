"""What people answered about detections: a table of corrections.

path      the recording or clip, as the table's folder or the working directory has it
start_s   from where in it, in seconds
end_s     to where
label     what was detected, empty where it was unknown
answer    right | wrong | noise | unknown | the label that it is
who       who says so, perhaps empty

It is a CSV file with these columns, in any order and perhaps others beside them, or JSON lines with
these keys (a file .jsonl).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from edge.bundle.labels import check_label
from edge.errors import SpecError, UserError, shown
from train.corpus.tables import fault_in, number_in, read_rows

__all__ = ["Answer", "read_answers"]

COLUMNS = ("path", "start_s", "end_s", "label", "answer", "who")
NEEDED = COLUMNS[:-1]
RIGHT, WRONG, NOISE, UNKNOWN = "right", "wrong", "noise", "unknown"
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
        return "" if self.given in (WRONG, NOISE, UNKNOWN) else self.given

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


def read_answers(table: Path) -> list[Answer]:
    """Return the answers of a table, each stretch's once.

    Raises `UserError`, which names file and line; also for answers that contradict each other.
    """
    rows = _json_lines(table) if table.suffix.lower() == ".jsonl" else read_rows(table, NEEDED)
    answers = [_answer(table, line, row) for line, row in rows]
    if not answers:
        raise UserError(f"{table}: has no answers")
    by_path: dict[Path, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_path[answer.path].append(answer)
    for own in by_path.values():
        _refuse_contradictions(table, own)
    return answers


def _json_lines(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise UserError(f"{table}: cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise UserError(f"{table}: is not UTF-8 ({exc})") from exc
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise fault_in(table, number, "is no JSON object") from exc
        if not isinstance(row, dict):
            raise fault_in(table, number, "is no JSON object")
        missing = [name for name in NEEDED if name not in row]
        if missing:
            raise fault_in(table, number, f"'{missing[0]}' is missing")
        yield number, {k: "" if v is None else str(v).strip() for k, v in row.items()}


def _answer(table: Path, line: int, row: Mapping[str, Any]) -> Answer:
    start, end = (number_in(table, line, row, name) for name in ("start_s", "end_s"))
    if not 0 <= start < end:
        raise fault_in(table, line, f"{start:g} to {end:g} s is no stretch of a recording")
    given, detected = row["answer"], row["label"]
    detected = "" if detected == UNKNOWN else detected
    if not given:
        raise fault_in(table, line, "the answer is empty: right, wrong, noise, unknown or a label")
    if given in (RIGHT, WRONG) and not detected:
        raise fault_in(table, line, f"'{given}' says nothing where no label was detected")
    for label in (detected, "" if given in (RIGHT, WRONG, NOISE, UNKNOWN) else given):
        try:
            check_label(label or "none")
        except SpecError as exc:
            raise fault_in(table, line, exc.fault.reason) from exc
    return Answer(
        path=_path(table, line, row["path"]),
        start_s=start,
        end_s=end,
        detected=detected,
        given=given,
        who=row.get("who", ""),
        line=line,
    )


def _path(table: Path, line: int, name: str) -> Path:
    for path in (Path(name), table.parent / name):
        if name and path.is_file():
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
