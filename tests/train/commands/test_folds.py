"""Every fold trained and averaged by one command, as the device averages their bundles."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import edge.cli
from edge.bundle import load_bundle
from tests.train.command_line import assert_done, edge_train, prepared_tones, write_recipe
from tests.train.tiny import TINY
from tests.train.tones import RATE_HZ, song
from train.corpus.corpus import Corpus, read_corpus, write_corpus
from train.judging.averaged import MEASURES, averaged, power_average
from train.judging.judged import Judged
from train.judging.truth import Truth

FOCAL: dict[str, Any] = {
    **TINY,
    "name": "focal",
    "objective": {"kind": "focal", "batch": 12, "outlier_share": 0.1},
    "steps": 4,
    "steps_per_epoch": 4,
    "weight": 0.3,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_tones(tmp_path_factory.mktemp("prepared"), folds=2)


@pytest.fixture(scope="module")
def trained(prepared: Path) -> Path:
    recipe = write_recipe(prepared, FOCAL)
    places = ["--corpus", prepared / "corpus", "--cache", prepared / "cache", "--workers", 1]
    result = edge_train("folds", "--recipe", recipe, *places, "--out", prepared / "out")
    assert_done(result)
    assert "| average | 0.6 |" in result.output
    return prepared / "out"


def test_each_fold_validates_once_and_the_average_is_judged(trained: Path) -> None:
    facts = [json.loads((trained / f"fold-{k}/run/run.json").read_text()) for k in range(2)]
    assert [one["fold"] for one in facts] == [0, 1]
    rows = json.loads((trained / "average.json").read_text())
    assert [Path(row["run"]).parts[-2:] for row in rows[:2]] == [
        (f"fold-{k}", "run") for k in range(2)
    ]
    assert all(0 <= row[name] <= 1 for row in rows for name in MEASURES)
    assert rows[-1]["run"] == "average"


def test_the_bundles_judge_together_as_they_were_averaged(trained: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", song("peeper", 5, seed=99), RATE_HZ)
    bundles = [trained / f"fold-{k}" / "bundle" for k in range(2)]
    assert [load_bundle(path).manifest.weight for path in bundles] == [0.3] * 2

    def scores(*paths: Path) -> list[float]:
        options = [word for path in paths for word in ("--bundle", str(path))]
        heard = CliRunner().invoke(
            edge.cli.main,
            ["replay", str(tmp_path / "song.wav"), *options, "--format", "windows"],
        )
        assert heard.exit_code == 0, heard.output
        return [json.loads(line)["score"] for line in heard.stdout.splitlines()]

    together = scores(*bundles)
    assert together
    assert max(together) <= max(max(scores(path)) for path in bundles) + 1e-6


def test_runs_with_weights_are_averaged_by_another_command(
    trained: Path, prepared: Path, tmp_path: Path
) -> None:
    runs = [word for k in (0, 1) for word in ("--run", trained / f"fold-{k}" / "run")]
    result = edge_train("average", "--corpus", prepared / "corpus", *runs, "--out", tmp_path)
    assert_done(result)
    assert "| average | 0.6 |" in result.output
    assert len(json.loads((tmp_path / "average.json").read_text())) == 3


def test_lists_are_written_as_they_were_submitted(
    trained: Path, prepared: Path, tmp_path: Path
) -> None:
    region = tmp_path / "region.yaml"
    region.write_text("[hummer, peeper, nightingale]\n", encoding="utf-8")
    places = ["--corpus", prepared / "corpus", "--run", trained / "fold-0" / "run"]
    options = ["--region", region, "--weights", "equal", "--out", tmp_path / "lists.csv"]
    result = edge_train("lists", *places, *options)
    assert_done(result)
    assert "| descending |" in result.output
    assert "| equal |" in result.output
    with (tmp_path / "lists.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"hummer", "peeper"}
    assert {row["weight"] for row in rows} == {"1.00"}
    region.write_text("[nightingale]\n", encoding="utf-8")
    refused = edge_train("lists", *places, *options)
    assert refused.exit_code == 1
    assert "has none of the species of the run; it begins with 'nightingale'" in refused.output
    region.unlink()
    missing = edge_train("lists", *places, *options)
    assert missing.exit_code == 1
    assert "region.yaml: file: cannot be read: No such file" in missing.output


@pytest.mark.parametrize("command", ["calibrate", "evaluate", "average", "lists", "export"])
def test_a_run_of_another_corpus_is_refused(
    trained: Path, prepared: Path, tmp_path: Path, command: str
) -> None:
    """What it said of its own recordings would pass for what it says of these."""
    out = ["--out", tmp_path / "out"] if command not in ("calibrate", "evaluate") else []
    run = ["--run", trained / "fold-0" / "run"]
    result = edge_train(command, "--corpus", another_corpus(prepared, tmp_path), *run, *out)
    assert result.exit_code == 1
    assert "fold-0/run: was trained on another corpus than " in result.output
    assert not (tmp_path / "out").exists()


def another_corpus(prepared: Path, folder: Path) -> Path:
    """The recordings of a corpus without one that may be trained on."""
    corpus = read_corpus(prepared / "corpus")
    lost = corpus.of(split="dev")[0]
    fewer = tuple(r for r in corpus.recordings if r != lost)
    write_corpus(folder / "corpus", Corpus(root=corpus.root, recordings=fewer), drawn={})
    return folder / "corpus"


def judged(recording: list[int], scores: list[list[float]]) -> Judged:
    count, values = len(recording), np.array(scores, np.float64)
    return Judged(
        recording=np.array(recording),
        truth=Truth(
            species=np.zeros(count, np.int64),
            kind=np.full(count, "known species"),
            origin=np.full(count, "known species"),
        ),
        closed=values.argmax(1),
        opened=values.argmax(1),
        novelty=values[:, 0],
        scores=values,
    )


def test_the_power_average_has_the_paper_s_weights() -> None:
    one, other = np.array([[0.9, 0.1]]), np.array([[0.2, 0.6]])
    np.testing.assert_allclose(
        power_average([one, other], [0.7, 0.3]), np.sqrt(0.7 * one**2 + 0.3 * other**2)
    )


def test_windows_are_paired_by_their_number_in_the_recording() -> None:
    one = judged([4, 4, 4, 7], [[0.1, 0], [0.2, 0], [0.3, 0], [0.7, 0]])
    other = judged([7, 4, 4], [[0.5, 0], [0.6, 0], [0.8, 0]])
    together = averaged([one, other], [1, 1])
    assert together.recording.tolist() == [4, 4, 7]
    np.testing.assert_allclose(
        together.scores[:, 0] ** 2 * 2,
        [0.1**2 + 0.6**2, 0.2**2 + 0.8**2, 0.7**2 + 0.5**2],
    )
