"""What people answer about detections means the same to whoever reads it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import soundfile

from edge.bundle import Label
from tests.train.tones import RATE_HZ, song
from train.adapting.answered import Answer, read_answers
from train.judging.reviewed import read_reviewed

LABELS = (
    Label(label="reed_warbler", common_name="Reed Warbler", scientific_name="Acrocephalus"),
    Label(label="sedge_warbler", common_name="Sedge Warbler", scientific_name="Calamodus"),
)
COLUMNS = ("path", "start_s", "end_s", "label", "score", "answer")
# Of a detection of a reed warbler: the answer, whether it was right, what it is.
MEANT = [
    ("right", True, "reed_warbler"),
    ("Yes", True, "reed_warbler"),
    ("wrong", False, ""),
    ("no", False, ""),
    ("noise", False, ""),
    ("unknown", False, ""),
    ("an animal I don\u2019t know", False, ""),
    ("it is Reed Warbler", True, "reed_warbler"),
    ("reed warbler", True, "reed_warbler"),
    ("it is sedge_warbler", False, "sedge_warbler"),
    ("calamodus", False, "sedge_warbler"),
    ("It is Marsh Warbler", False, "marsh_warbler"),
]


def text_of(rows: list[dict[str, object]], form: str) -> str:
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter={"csv": ",", "tsv": "\t", "de": ";"}[form])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(answer: str, start_s: float = 0.0) -> dict[str, object]:
    times = {"start_s": start_s, "end_s": start_s + 1}
    return {"path": "a.wav", **times, "label": "reed_warbler", "score": 0.7, "answer": answer}


def both(folder: Path, rows: list[dict[str, object]], form: str) -> tuple[list[bool], list[Answer]]:
    """Read the same table as calibration and as adaptation do."""
    soundfile.write(folder / "a.wav", song("hummer", 1.0, seed=0), RATE_HZ)
    table = folder / f"answers.{form}"
    table.write_text(text_of(rows, form), encoding="utf-8-sig")
    return [r.right for r in read_reviewed(table, LABELS).reviews], read_answers(table, LABELS)


@pytest.mark.parametrize("form", ["csv", "tsv", "de", "jsonl"])
@pytest.mark.parametrize(("answer", "right", "label"), MEANT)
def test_one_table_says_the_same_to_both(
    tmp_path: Path, form: str, answer: str, right: bool, label: str
) -> None:
    reviewed, (answered,) = both(tmp_path, [row(answer)], form)
    assert reviewed == [right]
    assert answered.label == label
    assert (answered.denied == "reed_warbler") == (not right)
    assert answered.noise == (answer == "noise")
    assert answered.wrong_only == (answer in ("wrong", "no"))


def test_unsure_and_unanswered_rows_are_left_out_by_both(tmp_path: Path) -> None:
    rows = [row(answer, start_s=i) for i, answer in enumerate(["", "unsure", "?", "right"])]
    reviewed, answered = both(tmp_path, rows, "csv")
    assert reviewed == [True]
    assert [answer.line for answer in answered] == [5]
