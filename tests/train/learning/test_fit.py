"""Training from recordings to a bundle that replays, and what a kill does to it."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from click.testing import CliRunner

import deploy.cli
import edge.cli
from edge.bundle import load_bundle
from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tiny import TINY, TRIPLET
from tests.train.tones import RATE_HZ, UNKNOWN, song, write_collection
from train.corpus.corpus import read_corpus


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def corpus(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepared = tmp_path_factory.mktemp("prepared")
    result = edge_train(
        "prepare", collection, "--out", prepared, "--test-share", 0.25, "--folds", 3
    )
    assert_done(result)
    return prepared


@pytest.fixture(scope="module")
def built(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documented one command, on the tones."""
    folder = tmp_path_factory.mktemp("built")
    result = edge_train(
        "build",
        "--recipe",
        write_recipe(folder, TINY),
        "--data",
        collection,
        "--work",
        folder / "work",
        "--out",
        folder / "bundle",
        "--workers",
        1,
    )
    assert_done(result)
    return folder


@pytest.fixture(scope="module")
def cache(built: Path) -> Path:
    """Features that need not be computed again."""
    return built / "work" / "features"


@pytest.fixture(scope="module")
def whole(built: Path, corpus: Path, cache: Path) -> dict[str, Path]:
    """Runs that were not interrupted, by the name of their recipe."""
    options = ["--corpus", corpus, "--cache", cache, "--workers", 1]
    result = edge_train(
        "fit", "--recipe", write_recipe(built, TRIPLET), *options, "--out", built / "triplet"
    )
    assert_done(result)
    return {"tiny": built / "work" / "run", "tiny-triplet": built / "triplet"}


def test_build_gives_a_bundle_that_names_tones_and_admits_ignorance(
    built: Path, tmp_path: Path
) -> None:

    for name in ("peeper", "triller"):
        soundfile.write(tmp_path / f"{name}.wav", song(name, 6, seed=99), RATE_HZ)
    soundfile.write(
        tmp_path / "hiss.wav", 0.1 * np.random.default_rng(9).standard_normal(6 * RATE_HZ), RATE_HZ
    )
    result = CliRunner().invoke(
        edge.cli.main,
        ["replay", str(tmp_path), "--bundle", str(built / "bundle"), "--format", "windows"],
    )
    assert_done(result)
    labels = {
        Path(row["file"]).stem: row["label"] for row in map(json.loads, result.stdout.splitlines())
    }
    assert labels == {"peeper": "peeper", "triller": "triller", "hiss": None}


def test_its_windows_measure_variants_without_the_training_code(
    built: Path, tmp_path: Path
) -> None:
    """What `edge-deploy quantize` finds of fp32 is what `evaluate` found."""
    work, windows = built / "work", tmp_path / "windows.npz"
    run = ("--corpus", work / "corpus", "--run", work / "run", "--cache", work / "features")
    command = ("windows", *run, "--out", windows, "--workers", 1, "--calibration", 16)
    assert "16 windows of train" in edge_train(*command).output
    first = windows.read_bytes()
    edge_train(*command)
    assert windows.read_bytes() == first
    shutil.copytree(built / "bundle", tmp_path / "bundle")
    options = ["--windows", str(windows), "--precision", "int8", "--allow-loss"]
    command_of_deploy = ["quantize", str(tmp_path / "bundle"), *options]
    assert_done(CliRunner().invoke(deploy.cli.main, command_of_deploy))
    bundle = load_bundle(tmp_path / "bundle")
    assert tuple(bundle.manifest.variants) == ("int8", "int8-cpu")
    for variant in bundle.manifest.variants.values():
        before = variant.metrics["fp32"]
        for name in ("macro_f1_per_recording", "top1_per_recording", "auroc"):
            assert before[name] == pytest.approx(bundle.manifest.metrics[name], abs=2e-4)
        for kind, accepted in before["accepted"].items():
            assert accepted == pytest.approx(bundle.manifest.metrics["accepted"][kind], abs=0.02)
        assert variant.metrics["embedding_cosine"]["mean"] > 0.99


def test_the_card_holds_the_very_report_that_evaluate_wrote(built: Path) -> None:
    card = (built / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = (built / "work" / "run" / "report" / "report.md").read_text(encoding="utf-8")
    lines = [line for line in report.splitlines() if line.startswith("|")]
    assert lines
    assert all(line in card for line in lines)
    assert "1,286,410" not in card, "it is no network of that paper"
    assert "must not be used for" in card


def test_the_manifest_says_what_it_was_trained_on(built: Path) -> None:
    manifest = load_bundle(built / "bundle").manifest
    assert manifest.training_data == read_corpus(built / "work" / "corpus").digest
    assert manifest.metrics["macro_f1_per_recording"] > 0.9
    assert manifest.activation == "softmax_other"


def test_build_again_gives_the_same_bundle(built: Path, collection: Path) -> None:
    before = load_bundle(built / "bundle").digest
    result = edge_train(
        "build",
        "--recipe",
        built / "tiny.yaml",
        "--data",
        collection,
        "--work",
        built / "work",
        "--out",
        built / "again",
        "--workers",
        1,
    )
    assert_done(result)
    assert load_bundle(built / "again").digest == before


@pytest.mark.parametrize("recipe", [TINY, TRIPLET], ids=["cross-entropy", "triplet"])
def test_a_killed_run_resumes_to_the_same_curve(
    recipe: dict[str, object], whole: dict[str, Path], corpus: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    path = str(write_recipe(tmp_path, recipe))
    options = ["--corpus", str(corpus), "--cache", str(cache), "--workers", "1"]
    command = ["fit", "--recipe", path, *options, "--out", str(run)]
    process = [sys.executable, "-u", "-m", "train.commands.cli", *command]
    with subprocess.Popen(
        process, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stderr is not None
        assert any("step" in line for line in killed.stderr)
        time.sleep(0.1)  # somewhere inside the second epoch
        killed.send_signal(signal.SIGKILL)
    assert not (run / "model.pt").exists()
    assert_done(edge_train(*command))
    undisturbed = whole[str(recipe["name"])]
    assert history(run) == history(undisturbed)
    first, second = (
        torch.load(folder / "model.pt", weights_only=True) for folder in (run, undisturbed)
    )
    assert all(torch.equal(first[key], second[key]) for key in second)


def test_a_killed_member_ends_the_run_with_one_line(
    corpus: Path, cache: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, {**TINY, "members": 2, "steps": 30, "steps_per_epoch": 10})
    options = [
        "--recipe",
        str(path),
        "--corpus",
        str(corpus),
        "--cache",
        str(cache),
        "--out",
        str(tmp_path / "run"),
    ]
    command = [sys.executable, "-u", "-m", "train.commands.cli", "fit", *options, "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        assert any("step" in line for line in run.stderr)
        os.kill(members_of(run.pid)[1], signal.SIGKILL)  # as the kernel does when memory runs out
        errors = [line for line in run.stderr.read().splitlines() if "error" in line]
    assert run.returncode == 1
    assert errors == [
        f"error: {tmp_path / 'run'}: training was interrupted; run the same command again to resume"
    ]


def test_the_species_to_learn_are_named_by_one_command(
    collection: Path, cache: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, {**TINY, "species": ["peeper", "triller"], "steps": 10})
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "features").symlink_to(cache)
    options = [
        "--recipe",
        recipe,
        "--data",
        collection,
        "--work",
        tmp_path / "work",
        "--workers",
        1,
    ]
    result = edge_train("species", *options, "--folds", 0, "--folds", 1, "--at-least", 2, "--f1", 0)
    assert_done(result)
    named = yaml.safe_load(result.stdout)["species"]
    assert set(named) > {"peeper", "triller"}  # all were learnt, not the recipe's own choice
    assert {path.name for path in (tmp_path / "work").glob("fold-*")} == {"fold-0", "fold-1"}


def members_of(pid: int) -> list[int]:
    """Processes that `multiprocessing` has spawned."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def history(run: Path) -> list[dict[str, str]]:
    with (run / "member-0" / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    return rows


def test_triplet_training_moves_the_margin_and_reports_the_harvest(
    corpus: Path, cache: Path, tmp_path: Path
) -> None:
    easy = {
        **TRIPLET,
        "objective": {"kind": "triplet", "scarce": 10_000},
        "steps": 9,
        "steps_per_epoch": 9,
    }
    result = edge_train(
        "fit",
        "--recipe",
        write_recipe(tmp_path, easy),
        "--corpus",
        corpus,
        "--out",
        tmp_path / "run",
        "--cache",
        cache,
        "--workers",
        1,
    )
    assert_done(result)
    state = torch.load(tmp_path / "run" / "member-0" / "checkpoint.pt", weights_only=True)
    assert state["objective"]["margin"]["margin"] == pytest.approx(0.2 + 3 * 0.05)


@pytest.mark.parametrize(
    ("options", "differing"),
    [
        (("--set", "seed=7"), "recipe"),
        (("--set", "network={kind: compact, options: {width: 4}}"), "recipe"),
        (("--fold", 1), "fold"),
        (("--corpus", "other"), "corpus"),
        (("--corpus", "other", "--fold", 1, "--set", "seed=7"), "fold and corpus and recipe"),
    ],
    ids=lambda given: "-".join(map(str, given)) if isinstance(given, tuple) else "",
)
def test_a_run_is_not_continued_as_another(
    built: Path,
    collection: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    differing: str,
) -> None:
    """By whoever was in the test before, or with another recipe; and it stays as it was."""
    other, run = tmp_path / "other", tmp_path / "run"
    assert_done(edge_train("prepare", collection, "--out", other, "--seed", 5, "--folds", 3))
    shutil.copytree(built / "work" / "run", run)
    before = content(run)
    given = {"--corpus": built / "work" / "corpus", "--cache": built / "work" / "features"}
    command = ["fit", "--recipe", built / "tiny.yaml", "--out", run, "--workers", 1]
    replaced = [other if option == "other" else option for option in options]
    result = edge_train(*command, *(part for pair in given.items() for part in pair), *replaced)
    assert result.exit_code == 1
    assert f"{run}: has a training with another {differing}; choose another" in result.output
    assert content(run) == before


def content(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("recipe", "members", "options", "said"),
    [
        (
            TINY,
            1,
            ("learning_rate=1000", "weight_decay=1"),
            "training diverged; lower learning_rate",
        ),
        (
            TINY,
            2,
            ("learning_rate=1000", "weight_decay=1"),
            "training diverged; lower learning_rate",
        ),
        (TRIPLET, 1, ("objective={kind: triplet, margin: 1.0e-9}", "steps=2"), "no semi-hard"),
    ],
    ids=["diverged", "diverged members", "no triplets"],
)
def test_a_training_that_learns_nothing_is_no_success(
    recipe: dict[str, object],
    members: int,
    options: tuple[str, ...],
    said: str,
    corpus: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    path = write_recipe(tmp_path, {**recipe, "members": members})
    chosen = [part for option in options for part in ("--set", option)]
    command = ["fit", "--recipe", path, "--corpus", corpus, "--cache", cache, *chosen]
    result = edge_train(*command, "--out", tmp_path / "run", "--workers", 1)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run" / "model.pt").exists()


def test_a_full_disk_is_one_line_and_leaves_no_half_checkpoint(
    corpus: Path, cache: Path, tmp_path: Path
) -> None:
    """A file-size limit stands for the full disk: the write fails in the middle of a checkpoint."""
    recipe = write_recipe(tmp_path, {**TINY, "steps_per_epoch": 1})
    options = ["--recipe", str(recipe), "--corpus", str(corpus), "--cache", str(cache)]
    command = [
        sys.executable,
        "-m",
        "train.commands.cli",
        "fit",
        *options,
        "--out",
        str(tmp_path / "run"),
        "--workers",
        "1",
    ]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "member-0" / "checkpoint.pt").exists()
    assert list((tmp_path / "run" / "member-0").glob(".*")) == []


def test_unknown_tones_are_heard_as_unknown(built: Path) -> None:
    rates = load_bundle(built / "bundle").manifest.metrics["auroc"]
    assert rates["unknown species"] > 0.8, f"{sorted(UNKNOWN)} sound like none of the species"
