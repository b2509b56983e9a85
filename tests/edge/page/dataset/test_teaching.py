"""What people say of a dataset is kept as of a recorder, and teaches a head."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from flask.testing import FlaskClient

from edge.cli import main
from edge.page.answers import Answers
from tests.support.archives import rows
from tests.support.labs import page_over, places_of
from tests.support.pages import seen, token_in
from train.adapting.answered import read_answers

HERE = "http://localhost"


@pytest.fixture
def client(dataset: Path, season: Path, tmp_path: Path) -> Iterator[FlaskClient]:
    client = page_over(dataset, season)
    yield client
    places_of(dataset).labels.unlink(missing_ok=True)


def say(client: FlaskClient, event: str, answer: str, label: str = "") -> None:
    token = token_in(client.get(f"/event/{event}", base_url=HERE).text)
    form = {"token": token, "answer": answer, "who": "Ada", "label": label}
    path = f"/event/{event}/answer"
    assert client.post(path, data=form, base_url=HERE).status_code == 303


def export(dataset: Path, *more: str) -> str:
    state = str(places_of(dataset).state)
    command = ["labels", "export", "--dataset", str(dataset), "--state", state, *more]
    cache = str(places_of(dataset).cache)
    done = CliRunner().invoke(main, command, env={"XDG_CACHE_HOME": cache})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_answers_are_kept_with_the_run_and_read_by_the_trainer(
    dataset: Path, client: FlaskClient, tmp_path: Path
) -> None:
    heard = [row for row in rows(dataset, "detections") if row["site"] == "pond"]
    named = [row for row in heard if row["label"] is not None]
    unknown = next(row for row in heard if row["label"] is None)
    undated = next(row for row in rows(dataset, "detections") if row["site"] == "shelf")
    say(client, named[0]["id"], "right")
    say(client, named[1]["id"], "is", "Eagle Owl")
    say(client, unknown["id"], "noise")
    say(client, undated["id"], "right")
    table = tmp_path / "out" / "answers.csv"
    table.parent.mkdir()
    export(dataset, "--out", str(table), "--copy")
    read = read_answers(table)
    assert [(one.detected, one.label, one.noise) for one in read] == [
        (named[0]["label"], named[0]["label"], False),
        (named[1]["label"], "eagle_owl", False),
        ("", "", True),
        (undated["label"], undated["label"], False),
    ]
    found = list(csv.DictReader(table.read_text().splitlines()))
    asked = (named[0], named[1], unknown, undated)
    for line, one, row in zip(found, read, asked, strict=True):
        assert (line["bundle"], line["config"]) == (row["bundle"], row["config"])
        assert one.path.is_relative_to(table.parent)
        clip, rate_hz = soundfile.read(one.path)
        start_s, end_s = float(line["start_s"]), float(line["end_s"])
        assert end_s - start_s == pytest.approx(row["end_s"] - row["start_s"], abs=1e-3)
        whole, _ = soundfile.read(row["path"])
        at, length = round(row["start_s"] * rate_hz), round((end_s - start_s) * rate_hz)
        begin = round(start_s * rate_hz)
        assert clip[begin : begin + length] == pytest.approx(whole[at : at + length], abs=1e-4)
    assert found[3]["start_utc"] == ""
    assert found[0]["start_utc"].startswith("2024-05-01T21:00:")


def test_what_was_answered_before_the_place_was_named_has_its_clip_later(
    dataset: Path, season: Path
) -> None:
    row = next(row for row in rows(dataset, "detections") if row["label"] is not None)
    say(page_over(dataset), row["id"], "right")
    assert export(dataset).splitlines()[1:] == []
    lines = export(dataset, "--recordings", str(season)).splitlines()
    (line,) = csv.DictReader(io.StringIO("\n".join(lines)))
    assert Path(line["path"]).is_file()
    answers = Answers(places_of(dataset).labels)
    assert [one.clip for one in answers.all()] != [""]
    answers.close()
    places_of(dataset).labels.unlink()


def test_the_next_question_is_one_whose_sound_is_there(dataset: Path, client: FlaskClient) -> None:
    page = seen(client, "/next")
    assert "Asked since" in " ".join(page.texts)
    assert any(value.endswith("/sound") for value in page.values("src"))
    assert "Every event with a sound has an answer." in seen(page_over(dataset), "/next").texts


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recordings", "/tmp"), "--recordings: is for --dataset"),
        (("--state", "/tmp"), "--state: is for --dataset"),
        (("--dataset", "{}", "--config", "x.yaml"), "--config = x.yaml: does not go with --data"),
        (("--dataset", "{}", "--recordings", "/nowhere"), "--recordings = /nowhere: is no folder"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    dataset: Path, options: tuple[str, ...], said: str
) -> None:
    given = [option.format(dataset) for option in options]
    done = CliRunner().invoke(main, ["labels", "export", *given])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
