"""Reviewed detections as people have them: what is read of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import UserError
from tests.support.bundles import LABELS
from train.judging.reviewed import read_reviewed

HEADER = "label,score,answer\n"
Answers = list[tuple[str, float, bool]]


def read(folder: Path, text: str) -> Answers:
    file = folder / "reviewed.csv"
    file.write_text(text, encoding="utf-8")
    return [(r.label, r.score, r.right) for r in read_reviewed(file, LABELS).reviews]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("right", True),
        ("Right", True),
        ("yes", True),
        ("1", True),
        ("true", True),
        ("wrong", False),
        ("0", False),
        ("noise", False),
        ("it is low_hummer", True),
        ("it is Low Hummer", True),
        ("it is Bombus gravis", True),
        ("it is Mid Whistler", False),
        ("it is a lorry", False),
        ("low_hummer", True),
        ("Mid Whistler", False),
    ],
)
def test_answers(tmp_path: Path, answer: str, right: bool) -> None:
    assert read(tmp_path, f"{HEADER}low_hummer,0.8,{answer}\n") == [("low_hummer", 0.8, right)]


def test_what_has_no_answer_and_what_has_no_label_is_left_out(tmp_path: Path) -> None:
    rows = "low_hummer,0.8,\nlow_hummer,0.7,unsure\n,0.6,wrong\nunknown,0.5,right\n"
    assert read(tmp_path, f"{HEADER}{rows}high_peeper,0.4,right\n") == [("high_peeper", 0.4, True)]


@pytest.mark.parametrize("column", ["right", "true_label", "Answer"])
def test_columns_go_by_other_names_too(tmp_path: Path, column: str) -> None:
    text = f"file;start_s;Species Code;Score;{column}\na.wav;1.0;low_hummer;0.8;low_hummer\n"
    assert read(tmp_path, text.replace(";", "\t")) == [("low_hummer", 0.8, True)]
    assert read(tmp_path, text) == [("low_hummer", 0.8, True)]


def test_json_lines_as_a_replay_gives_them(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "label": "low_hummer", "score": 0.8, "top": [1], "answer": "right"},
        {"id": "a", "label": "low_hummer", "score": 0.9, "state": "end", "answer": "right"},
        {"id": "b", "label": None, "score": 0.3, "answer": None},
    ]
    text = "\n".join(map(json.dumps, lines))
    # One event, of which the last state counts.
    assert read(tmp_path, text + "\n\n") == [("low_hummer", 0.9, True)]


def test_the_same_answer_twice_is_one(tmp_path: Path) -> None:
    row = "a.wav,1.0,low_hummer,0.8,right\n"
    assert len(read(tmp_path, "path,start_s,label,score,answer\n" + row + row)) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("label,answer\nlow_hummer,right\n", "line 2: has no column 'score'"),
        ("label,score\nlow_hummer,1\n", "line 2: has no column 'answer'"),
        (HEADER + "owl,0.8,right\n", "line 2: 'owl' is no label of the bundle"),
        (HEADER + "low_hummer,1.2,right\n", "line 2: '1.2' is no score from 0 to 1"),
        (HEADER + "low_hummer,-0.1,right\n", "line 2: '-0.1' is no score"),
        (HEADER + "low_hummer,nan,right\n", "line 2: 'nan' is no score"),
        (HEADER + "low_hummer,much,right\n", "line 2: 'much' is no score"),
        (HEADER + "low_hummer,,right\n", "line 2: '' is no score"),
        (HEADER + "low_hummer,0.8,perhaps\n", "line 2: the answer 'perhaps' is none of right"),
        (HEADER + "low_hummer,0.8,right,more\n", "line 2: has more cells than the header"),
        (HEADER, "has no reviewed detection"),
        ("", "has no reviewed detection"),
        ('{"label": 1', "line 1: is no JSON"),
        ('{"label": "low_hummer", "score": 0.5}', "line 1: has no column 'answer'"),
        (
            '{"label": "low_hummer", "score": 0.5, "answer": "right"}\n[]',
            "line 2: is no JSON object",
        ),
        (
            "id,label,score,answer\nx,low_hummer,0.8,right\nx,low_hummer,0.8,wrong\n",
            "lines 2 and 3 answer one detection of low_hummer differently",
        ),
        (
            "path,start_s,label,score,answer\na,1,low_hummer,0.8,right\na,1,low_hummer,0.8,noise\n",
            "lines 2 and 3 answer one detection of low_hummer differently",
        ),
    ],
)
def test_bad_rows_are_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "reviewed.csv"))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_reviewed(tmp_path / "nowhere.csv", LABELS)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_reviewed(tmp_path / "binary", LABELS)
