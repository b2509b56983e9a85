"""What people answered about detections, row by row: one reader and one set of words for all uses.

A CSV file, with commas, semicolons or tabs, or JSON lines, as a replay, the store or the recorder's
page gives them out, with a column more: `answer` (or `right`, `true_label`), which is

    right | wrong | noise | unknown | unsure, or the species that it is, perhaps after "it is"

`noise` is no animal; `unknown` is an animal that the person does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle import Label
from edge.bundle.labels import plain_name
from edge.errors import UserError
from train.corpus.tables import fault_in, read_rows

__all__ = [
    "NOISE",
    "RIGHT",
    "UNKNOWN",
    "WRONG",
    "AnswerRow",
    "Names",
    "answer_rows",
    "content_of",
    "names_of",
]

RIGHT, WRONG, NOISE, UNKNOWN, UNSURE = "right", "wrong", "noise", "unknown", "unsure"
WORDS = {
    **dict.fromkeys((RIGHT, "correct", "true", "yes", "1"), RIGHT),
    **dict.fromkeys((WRONG, "incorrect", "false", "no", "0"), WRONG),
    **dict.fromkeys((UNKNOWN, "an animal i don't know"), UNKNOWN),
    **dict.fromkeys((UNSURE, "?", ""), UNSURE),
    NOISE: NOISE,
}
IT_IS = "it is "
ANSWERS = ("answer", "right", "true_label")  # columns, the first that there is
ALIASES = {"species code": "label", "file": "path", "source": "path", "begin path": "path"}
LARGEST_BYTES = 200_000_000
Names = Mapping[str, set[str]]


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """One row: `cells` by column, and the `answer`.

    It is one of the words above, or else the name of a species as it stands there, which is `said`
    where "it is" stands before it: then it may be one that nobody has a label for.
    """

    line: int
    cells: dict[str, str]
    answer: str
    said: bool


def answer_rows(
    table: Path, needed: Sequence[str], *, content: bytes | None = None
) -> Iterator[AnswerRow]:
    """Yield each answered row of a table that has the columns `needed`.

    Rows without an answer and unsure ones are left out. Raises `UserError`, which names the line.
    """
    text = _text_of(table, content_of(table) if content is None else content)
    rows = _json_rows if text.lstrip().startswith("{") else _csv_rows
    for line, row in rows(table, text):
        named = {ALIASES.get(name, name): value.strip() for name, value in row.items()}
        lacking = [name for name in needed if name not in named]
        column = next((name for name in ANSWERS if name in named), None)
        if lacking or column is None:
            raise fault_in(table, line, f"has no column '{(*lacking, 'answer')[0]}'")
        answer, said = _meaning(named[column])
        if answer != UNSURE:
            yield AnswerRow(line=line, cells=named, answer=answer, said=said)


def content_of(table: Path) -> bytes:
    """Return the bytes of a table; raises `UserError` for what is none."""
    try:
        with table.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise UserError(f"{table}: cannot be read ({exc.strerror or exc})") from exc
    if len(content) > LARGEST_BYTES:
        raise UserError(f"{table}: is larger than {LARGEST_BYTES // 1_000_000} MB")
    return content


def names_of(labels: Sequence[Label]) -> Names:
    """Return which labels a name may mean, by its plain form: label, common or scientific name."""
    found: dict[str, set[str]] = {}
    for label in labels:
        for name in (label.label, label.common_name, label.scientific_name):
            found.setdefault(plain_name(name), set()).add(label.label)
    return found


def _meaning(answer: str) -> tuple[str, bool]:
    """Return the word that an answer is, or the name in it, and whether "it is" stands before."""
    plain = answer.casefold().replace("\u2019", "'")
    if plain in WORDS:
        return WORDS[plain], False
    said = plain.startswith(IT_IS)
    return answer[len(IT_IS) :].strip() if said else answer, said


def _text_of(table: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UserError(f"{table}: is not UTF-8 text") from exc


def _csv_rows(table: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, row in read_rows(table, text=text):
        yield line, {name.casefold(): value for name, value in row.items()}


def _json_rows(table: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row: Any = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise fault_in(table, line, "is no JSON") from exc
        if not isinstance(row, dict):
            raise fault_in(table, line, "is no JSON object")
        yield line, {name.casefold(): _plain(value) for name, value in row.items()}


def _plain(value: object) -> str:
    return "" if value is None else str(value)
