"""What `edge-train` says when something is wrong: one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edge.errors import ConfigError, UserError
from tests.train.command_line import edge_train, write_recipe
from tests.train.tiny import TINY
from tests.train.tones import write_collection
from train.corpus.corpus import read_corpus
from train.learning.trainer import pick_device


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    collection = write_collection(tmp_path_factory.mktemp("collection"))
    prepared = tmp_path_factory.mktemp("prepared")
    result = edge_train(
        "prepare", collection, "--out", prepared, "--test-share", 0.25, "--folds", 3
    )
    assert result.exit_code == 0, result.output
    return prepared


def test_one_class_only_is_one_line(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "collection", species=1)
    result = edge_train("prepare", collection, "--out", tmp_path / "prepared", "--folds", 2)
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert "at least two" in result.output


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "collection")
    (tmp_path / "file").touch()
    result = edge_train("prepare", collection, "--out", tmp_path / "file" / "prepared")
    assert result.exit_code == 1
    assert result.output == f"error: {tmp_path / 'file' / 'prepared'}: Not a directory\n"


def test_a_recipe_that_leaves_one_class_is_one_line(corpus: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, {**TINY, "species": ["peeper"]})
    result = edge_train(
        "fit",
        "--recipe",
        recipe,
        "--corpus",
        corpus,
        "--out",
        tmp_path / "run",
        "--cache",
        tmp_path / "c",
    )
    assert result.exit_code == 1
    assert "1 known species to learn; at least two are needed" in result.output


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stepz": 3}, "unknown key 'stepz'"),
        (
            {"objective": {"kind": "hinge"}},
            "objective.kind: 'hinge' is none of triplet, semihard, cross_entropy, focal",
        ),
        ({"objective": {"kind": "triplet"}}, "add a classifier section"),
        ({"network": {"kind": "compact", "options": {"widht": 3}}}, "widht"),
        ({"frontend": {"n_mels": 40}}, "multiple of 16 mel bands"),
        ({"frontend": {"hop": 3}}, "unknown key 'hop'"),
        ({"species": ["yeti"]}, "species 'yeti' is not among"),
        ({"steps": 0}, "at least 1"),
        ({"optimiser": "lion"}, "optimiser: 'lion' is none of"),
        ({"classifier": {"kind": "svm"}}, "classifier.kind: 'svm' is none of mlp, knn, forest"),
        (
            {"stages": [{"layers": "top", "steps": 20}]},
            "stages: their steps add up to 20, but steps is 60",
        ),
        (
            {"objective": {"kind": "semihard", "batch": 4}},
            "objective: batch 4 and per_class 4: need two windows each of two",
        ),
        (
            {"classifier": {"kind": "knn", "k": 5000}},
            "classifier: k 5000 and points 4000: need k <= points",
        ),
        ({"stages": [{"layers": "top", "step": 60}]}, "stages[0]: unknown key 'step'"),
        ({"network": {"kind": "spherical_kmeans"}}, "need each other"),
        (
            {"network": {"kind": "soundception"}},
            "at least 75 bands and frames, the frontend has 32",
        ),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(
    change: dict[str, object], reason: str, corpus: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, {**TINY, **change})
    result = edge_train(
        "fit",
        "--recipe",
        recipe,
        "--corpus",
        corpus,
        "--out",
        tmp_path / "run",
        "--cache",
        tmp_path / "c",
        "--workers",
        1,
    )
    assert result.exit_code == 1
    line = result.output.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert reason in line


@pytest.mark.parametrize(
    ("command", "reason"), [("calibrate", "not a finished run"), ("evaluate", "not a finished run")]
)
def test_commands_out_of_order_say_what_is_missing(
    command: str, reason: str, corpus: Path, tmp_path: Path
) -> None:
    result = edge_train(command, "--corpus", corpus, "--run", tmp_path)
    assert result.exit_code == 1
    assert reason in result.output


def test_missing_files_are_one_line(tmp_path: Path) -> None:
    result = edge_train(
        "fit", "--recipe", tmp_path / "none.yaml", "--corpus", tmp_path, "--out", tmp_path / "run"
    )
    assert (result.exit_code, result.output.strip()) == (
        1,
        f"error: {tmp_path / 'none.yaml'}: file: cannot be read: No such file or directory",
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there_is_not_silently_a_cpu() -> None:
    with pytest.raises(ConfigError, match="device cuda: no GPU"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"


def test_what_is_no_prepared_corpus_is_refused() -> None:
    with pytest.raises(UserError, match="run 'edge-train prepare'"):
        read_corpus(Path("/nonexistent"))
