"""A head that is there is taught more: a species from a few clips, and what people answered."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.bundle import Bundle, load_bundle
from edge.cli import main as edge
from tests.support.audio import noise
from tests.support.bundles import choir_bundle, tone
from tests.train.adapting.studies import RATE_HZ, SUNG, adapt, clips_of, folder_of, on_trunk, sung
from tests.train.command_line import edge_train

BEEPER_HZ = 1300.0  # the trunk lacks it
COLUMNS = ("path", "start_s", "end_s", "label", "answer", "who")


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("trunk") / "choir")


@pytest.fixture(scope="module")
def made(trunk: Bundle) -> Path:
    """A head with its work folder, beside its trunk."""
    out = trunk.path.with_name("made")
    result = on_trunk(folder_of(trunk.path.with_name("data")), trunk, out)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def head(made: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of it that a test may change."""
    out = made.with_name(f"head_{abs(hash(request.node.name)) % 10**8}")
    shutil.copytree(made, out)
    shutil.copytree(made.with_name("made.work"), out.with_name(f"{out.name}.work"))
    return out


def detections_in(head: Path, recording: Path, *options: object) -> list[dict[str, Any]]:
    args = ["replay", "--bundle", head, "--format", "jsonl", *options, recording]
    replayed = CliRunner().invoke(edge, list(map(str, args)))
    assert replayed.exit_code == 0, replayed.stderr
    return [json.loads(line) for line in replayed.stdout.splitlines()]


def labels_in(head: Path, recording: Path) -> set[str | None]:
    return {detection["label"] for detection in detections_in(head, recording)}


def table_of(path: Path, rows: Sequence[tuple[object, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def test_a_head_is_made_widened_corrected_and_replays(head: Path, tmp_path: Path) -> None:
    before = load_bundle(head)
    clips = clips_of(tmp_path / "beeper", BEEPER_HZ, each=5)
    added = adapt("--add", "beeper", *clips, "--to", head)
    assert added.exit_code == 0, added.output
    assert "beeper was added from 5 clips: 5 of 5 are named and accepted" in added.stdout
    assert "5-fold over these 5" in added.stdout
    assert [label.label for label in load_bundle(head).labels] == ["beeper", *sorted(SUNG)]
    assert load_bundle(head).trunk_digest == before.trunk_digest
    scores = re.search(r"labels that were there ([\d.]+) before, ([\d.]+) after", added.stdout)
    assert scores is not None
    assert float(scores[2]) > float(scores[1]) - 0.005
    soundfile.write(tmp_path / "new.wav", sung(BEEPER_HZ, 70), RATE_HZ)
    assert "beeper" in labels_in(head, tmp_path / "new.wav")
    answers = [
        (clips[0], 1.5, 3.5, "moaner", "beeper", "ada"),
        (clips[1], 1.5, 3.5, "", "noise", ""),
    ]
    answers[1] = (clips[1], 0.0, 1.2, "beeper", "noise", "ada")
    corrected = adapt("--corrections", table_of(tmp_path / "answers.csv", answers), "--to", head)
    assert corrected.exit_code == 0, corrected.output
    assert "It learnt from 2 answers of 1 person (answers.csv)." in corrected.stdout
    assert "before, " in corrected.stdout
    assert "beeper" in labels_in(head, tmp_path / "new.wav")
    card = (head / "MODEL_CARD.md").read_text()
    assert card.index("beeper was added from 5 clips") < card.index("It learnt from 2 answers")
    changes = head.with_name(f"{head.name}.report") / "changes.md"
    assert len(changes.read_text().split("\n\n")) == 2
    calibrated_and_replayed(head, tmp_path)


def calibrated_and_replayed(head: Path, folder: Path) -> None:
    """Go the rest of the way: reviewed detections, a precision, and a replay that keeps it."""
    reviewed = folder / "reviewed.csv"
    rows = [f"beeper,{0.35 + 0.01 * i},{'right' if i > 20 else 'wrong'}" for i in range(60)]
    reviewed.write_text("\n".join(["label,score,answer", *rows]) + "\n", encoding="utf-8")
    here = head.with_name(f"{head.name}_here")  # beside its trunk
    said = edge_train("calibrate", "--bundle", head, "--on", reviewed, "--out", here)
    assert said.exit_code == 0, said.output
    said = edge_train("thresholds", here, "--precision", 0.9)
    assert said.exit_code == 0, said.output
    calibrated = load_bundle(here)
    assert calibrated.trunk_digest == load_bundle(head).trunk_digest
    assert calibrated.calibration is not None
    least = calibrated.calibration.precisions["0.9"].least("beeper")
    assert least is not None
    detections = detections_in(here, folder / "new.wav", "--precision", 0.9)
    (beep,) = [d for d in detections if d["label"] == "beeper"]
    assert beep["score"] >= least
    assert beep["probability"] == pytest.approx(
        calibrated.calibration.probability("beeper", beep["score"]), abs=1e-5
    )
    assert beep["calibration"] == calibrated.calibration.digest


def test_one_clip_is_enough_and_says_what_was_not_measured(head: Path, tmp_path: Path) -> None:
    (clip,) = clips_of(tmp_path / "beeper", BEEPER_HZ, each=1)
    result = adapt("--add", "beeper", clip, "--to", head)
    assert result.exit_code == 0, result.output
    assert "from 1 clip: how well it is named was not measured" in result.stdout


@pytest.mark.parametrize(("hz", "told"), [(SUNG["moaner"], True), (BEEPER_HZ, False)])
def test_a_name_that_other_things_get_too_is_told(
    head: Path, tmp_path: Path, hz: float, told: bool
) -> None:
    result = adapt("--add", "beeper", *clips_of(tmp_path / "b", hz, each=8), "--to", head)
    assert result.exit_code == 0, result.output
    false, others = re.findall(r"(\d+) of (\d+) test recordings of other things", result.stdout)[0]
    assert (int(false) > int(others) / 10) is told
    assert ("too many to believe it" in result.stderr) is told
    assert ("too many to believe it" in (head / "MODEL_CARD.md").read_text()) is told


def test_other_labels_keep_their_logits(head: Path, tmp_path: Path) -> None:
    before = load_bundle(head)
    result = adapt("--add", "beeper", *clips_of(tmp_path / "b", BEEPER_HZ, each=3), "--to", head)
    assert result.exit_code == 0, result.output
    after = load_bundle(head)
    golden = before.networks["fp32"].golden
    old, new = (
        bundle.networks["fp32"].top(golden.embedding[None], golden.logits[None])[1][0]
        for bundle in (before, after)
        if bundle.networks["fp32"].top is not None
    )
    assert new[1:] == pytest.approx(old, abs=1e-4)


def test_what_was_taken_for_a_label_is_noise_from_now_on(head: Path, tmp_path: Path) -> None:
    buzz = [tmp_path / f"buzz{i}.wav" for i in range(6)]
    for i, path in enumerate(buzz):
        samples = tone(660.0 + i, 4, level=0.2) + noise(4, level=0.1, seed=i)
        soundfile.write(path, samples, RATE_HZ)
    assert "moaner" in labels_in(head, buzz[0])
    rows = [
        {"path": path.name, "start_s": 0, "end_s": 4, "label": "moaner", "answer": "noise"}
        for path in buzz[1:]
    ]
    table = tmp_path / "answers.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = adapt("--corrections", table, "--to", head)
    assert result.exit_code == 0, result.output
    assert "It learnt from 5 answers (answers.jsonl)." in result.stdout
    assert "moaner" not in labels_in(head, buzz[0])


def test_wrong_alone_says_what_it_is_not(head: Path, tmp_path: Path) -> None:
    rows = [
        (path, 1.5, 3.5, "moaner", "wrong", "ada")
        for path in clips_of(tmp_path / "other", 1300.0, each=3)
    ]
    result = adapt("--corrections", table_of(tmp_path / "answers.csv", rows), "--to", head)
    assert result.exit_code == 0, result.output
    assert [label.label for label in load_bundle(head).labels] == sorted(SUNG)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [("a.wav", 1, 3, "moaner", "right", "ada"), ("a.wav", 1, 3, "moaner", "noise", "bo")],
            "lines 2 and 3: a.wav, 1 s: moaner, says ada against noise (moaner detected), says bo",
        ),
        (
            [("a.wav", 1, 3, "moaner", "whiner", ""), ("a.wav", 1.2, 3, "moaner", "hummer", "")],
            "lines 2 and 3: a.wav, 1.2 s: whiner against hummer",
        ),
        ([("a.wav", 1, 3, "", "right", "")], "'right' says nothing where no label was detected"),
        ([("b.wav", 1, 3, "moaner", "right", "")], "line 2: there is no recording 'b.wav'"),
        ([("a.wav", 3, 1, "moaner", "right", "")], "3 to 1 s is no stretch"),
        ([("a.wav", "x", 1, "moaner", "right", "")], "column start_s: 'x' is no number"),
        ([("a.wav", 1, 3, "moaner", "Great Tit?", "")], "has the character '?'"),
        ([("a.wav", 1, 3, "moaner", "", "")], "has no answers"),
        ([], "has no answers"),
    ],
)
def test_answers_that_cannot_be_used_are_one_line(
    head: Path, tmp_path: Path, rows: list[tuple[object, ...]], reason: str
) -> None:
    soundfile.write(tmp_path / "a.wav", sung(650.0, 3), RATE_HZ)
    digest = load_bundle(head).digest
    result = adapt("--corrections", table_of(tmp_path / "answers.csv", rows), "--to", head)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert reason in line
    assert load_bundle(head).digest == digest
    assert not head.with_name(f"{head.name}.report").exists()


def test_answers_on_recordings_of_the_test_split_stay_out(head: Path, tmp_path: Path) -> None:
    with (head.with_name(f"{head.name}.work") / "recordings.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    data = head.with_name("data")
    answers = [(data / row["path"], 1.5, 3.5, row["label"], "right", "") for row in rows[:2]]
    result = adapt("--corrections", table_of(tmp_path / "answers.csv", answers), "--to", head)
    assert result.exit_code == 1
    assert "nothing can be learnt from it" in result.stderr
    assert "it is in the test split" in result.stderr


def test_a_species_that_cannot_be_added_is_one_line(head: Path, tmp_path: Path) -> None:
    clips = clips_of(tmp_path / "beeper", BEEPER_HZ, each=2)
    short = [tmp_path / "short0.wav", tmp_path / "short1.wav"]
    silence = tmp_path / "silence.wav"
    for path in short:
        soundfile.write(path, tone(BEEPER_HZ, 0.3), RATE_HZ)
    soundfile.write(silence, 0 * tone(BEEPER_HZ, 3), RATE_HZ)
    hushed = tmp_path / "hushed.wav"  # its only sound is behind the last whole window
    soundfile.write(hushed, np.append(np.zeros(3 * RATE_HZ), tone(BEEPER_HZ, 0.2)), RATE_HZ)
    digest = load_bundle(head).digest
    for args, reason in (
        (("moaner", *clips), "has the label moaner already"),
        (("beeper", *short), "nothing can be learnt from 2 clips; the first: short0.wav (0.3 s"),
        (("beeper", silence), "the first: silence.wav (silent"),
        (("beeper", hushed), "choir hears nothing in these clips but silence"),
        (("beeper",), "needs 1 to 50 clips"),
        (("beeper", *[clips[0]] * 51), "51 clips are more than 50"),
        (("Beeper", *clips), "has the character 'B'"),
        (("beeper", tmp_path / "none.wav"), "none.wav (missing)"),
    ):
        result = adapt("--to", head, "--add", *args)
        assert result.exit_code == 1, args
        (line,) = [x for x in result.stderr.splitlines() if x.startswith("error")]
        assert reason in line
    assert load_bundle(head).digest == digest


def test_a_head_without_its_work_is_one_line(head: Path, tmp_path: Path) -> None:
    shutil.rmtree(head.with_name(f"{head.name}.work"))
    (clip,) = clips_of(tmp_path / "beeper", BEEPER_HZ, each=1)
    result = adapt("--add", "beeper", clip, "--to", head)
    assert result.exit_code == 1
    assert f"cannot be taught more without {head}.work" in result.stderr


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--trunk", "x", "--out", "y"), "--data is missing"),
        (("--add", "beeper", "x.wav"), "--add needs --to HEAD"),
        (("--to", "x"), "--to needs --add LABEL CLIPS or --corrections TABLE"),
        (("--to", "x", "--add", "a", "--corrections", "b"), "--to needs --add LABEL CLIPS or"),
        (("--to", "x", "--add", "a", "--hop-s", "1"), "--hop-s does not go with --to"),
        (("--to", "x", "--corrections", "b", "c.wav"), "clips go with --add LABEL"),
    ],
)
def test_options_that_do_not_go_together(args: tuple[str, ...], reason: str) -> None:
    result = adapt(*args)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_head_is_no_trunk(head: Path, tmp_path: Path) -> None:
    result = adapt("--data", tmp_path, "--trunk", head, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "is a head itself; give the bundle that it stands on" in result.stderr
    assert not (tmp_path / "out").exists()
