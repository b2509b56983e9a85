"""A folder per species and nothing else, by the command that the documents give for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import Result

from edge.bundle import load_bundle
from tests.train.command_line import assert_done, edge_train
from tests.train.tones import RATE_HZ, SPECIES, UNKNOWN, song

RECIPE = Path(__file__).parents[3] / "config" / "recipes" / "own.yaml"
SMALL = (
    *("--set", "steps=40", "--set", "steps_per_epoch=20", "--set", "members=1"),
    *("--set", "network={kind: compact, options: {width: 8}}"),
    *("--set", "objective={kind: cross_entropy, batch: 16, outlier_share: 0.35, average: 0.9}"),
)


def write_songs(folder: Path, names: Iterable[str], *, count: int = 6, seconds: float = 6) -> None:
    for seed, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            samples = song(name, seconds, seed=100 * seed + i)
            soundfile.write(folder / name / f"{name}_{i}.wav", samples, RATE_HZ)


def build(data: Path, work: Path, *more: str) -> Result:
    place = ("--data", data, "--out", work / "bundle", "--work", work)
    return edge_train("build", "--recipe", RECIPE, *place, "--workers", 1, *SMALL, *more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_songs(folder, SPECIES)
    return folder


@pytest.fixture(scope="module")
def work(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    assert_done(build(folder, work))
    return work


def test_it_becomes_a_bundle_that_replays(work: Path, folder: Path) -> None:
    bundle = load_bundle(work / "bundle")
    assert [label.label for label in bundle.labels] == sorted(SPECIES)
    recording = folder / "peeper" / "peeper_0.wav"
    replay = subprocess.run(
        [sys.executable, "-m", "edge.cli", "replay", "--bundle", work / "bundle", recording],
        capture_output=True,
        text=True,
        check=False,
    )
    assert replay.returncode == 0, replay.stderr
    assert "in 0:06.0 of audio in 1 file" in replay.stdout


def test_report_and_card_say_what_stands_in_for_what_is_lacking(work: Path) -> None:
    report = (work / "run" / "report" / "report.md").read_text(encoding="utf-8")
    card = (work / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (report, card):
        assert "Noise was synthesised" in text
        assert "leaving their own species out in turn: 3 smaller trainings of 20 steps" in text
        assert "Nobody is named as recordist" in text
        assert "Species left out in turn" in text


def test_every_species_is_left_out_once_and_the_numbers_are_kept(work: Path) -> None:
    report = json.loads((work / "run" / "report" / "report.json").read_text(encoding="utf-8"))
    assert sorted(name for row in report["left_out"] for name in row["left_out"]) == sorted(SPECIES)
    assert all(0 <= row["auroc_per_window"] <= 1 for row in report["left_out"])
    metrics = load_bundle(work / "bundle").manifest.metrics
    mean = np.mean([row["auroc_per_window"] for row in report["left_out"]])
    assert metrics["species_left_out_in_turn"]["auroc_per_window"] == pytest.approx(mean, abs=1e-3)
    rules = {row["rule"]: row for row in report["calibration"]}
    assert "blend" not in rules
    assert all("auroc unknown species" in row for row in rules.values())


def test_other_recordings_are_not_taken_for_those_that_were_prepared(
    work: Path, tmp_path: Path
) -> None:
    write_songs(tmp_path, SPECIES, count=3, seconds=1)
    result = build(tmp_path, work)
    assert result.exit_code == 1
    assert "was prepared from other recordings than those of" in last_line(result)


def test_the_three_folders_beside_the_species_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    write_songs(folder, list(SPECIES)[:2], count=5)
    write_songs(folder / "unknown", UNKNOWN, count=2)
    rng = np.random.default_rng(0)
    for role in ("noise", "background"):
        (folder / role).mkdir()
        for i in range(6):
            samples = 0.05 * rng.standard_normal(6 * RATE_HZ)
            soundfile.write(folder / role / f"{role}_{i}.wav", samples, RATE_HZ)
    assert_done(build(folder, tmp_path / "work"))
    report = json.loads((tmp_path / "work" / "run" / "report" / "report.json").read_text("utf-8"))
    assert {"unknown species", "noise: noise", "background"} <= set(report["counted"])
    assert not report["left_out"]
    assert [note.split(",")[0] for note in report["stand_ins"]] == ["Nobody is named as recordist"]
    assert not (tmp_path / "work" / "corpus" / "noise").exists()


def last_line(result: Result) -> str:
    """The one line of error; what comes before it says what is being done."""
    lines = result.output.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], result.output
    return lines[-1]


@pytest.mark.parametrize(
    ("species", "count", "seconds", "reason"),
    [
        (1, 6, 1, "only one known species ('hummer'), at least two are needed"),
        (1, 2, 0.3, "only one known species ('hummer'), at least two are needed"),
        (2, 1, 0.3, "2 recordings of 2 species leave none to"),
        (2, 2, 0.05, "no known species, at least two are needed; 4 files cannot be used, the"),
    ],
    ids=["one class", "two clips of one class", "two clips", "too short"],
)
def test_too_little_is_one_line(
    species: int, count: int, seconds: float, reason: str, tmp_path: Path
) -> None:
    write_songs(tmp_path / "data", list(SPECIES)[:species], count=count, seconds=seconds)
    result = build(tmp_path / "data", tmp_path / "work")
    assert result.exit_code == 1
    assert reason in last_line(result)
    assert not (tmp_path / "work" / "bundle").exists()


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data" / "great_tit").mkdir(parents=True)
    result = build(tmp_path / "data", tmp_path / "work")
    assert result.exit_code == 1
    assert "lists no recordings" in last_line(result)
    assert not list((tmp_path / "work").glob("corpus*"))


def test_files_that_are_no_recordings_are_one_line(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/2.mp3", "b/1.flac"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"this is not sound" + name.encode())
    result = build(tmp_path / "data", tmp_path / "work")
    assert result.exit_code == 1
    assert "no known species, at least two are needed; 3 files cannot be used" in last_line(result)


def test_the_default_recipe_says_which_one_learns_any_species(folder: Path, tmp_path: Path) -> None:
    place = ("--data", folder, "--out", tmp_path / "bundle", "--work", tmp_path)
    default = RECIPE.with_name("default.yaml")
    result = edge_train("build", "--recipe", default, *place, "--workers", 1)
    assert result.exit_code == 1
    assert "config/recipes/own.yaml learns whatever species there are" in last_line(result)


@pytest.mark.parametrize(
    ("words", "recipe", "out"),
    [
        ((), "default", "edge/models/default"),
        (("DATA=/x",), "own", "build/own/bundle"),
        (("DATA=/x", "WORK=build/frogs"), "own", "build/frogs/bundle"),
        (("DATA=/x", "BUNDLE=build/mine"), "own", "build/mine"),
        (("DATA=/x", "RECIPE=config/recipes/default.yaml"), "default", "build/default/bundle"),
        (("RECIPE=config/recipes/s2-cnn2-mlp.yaml",), "s2-cnn2-mlp", "build/s2-cnn2-mlp/bundle"),
    ],
)
def test_only_the_default_replaces_the_default(
    words: tuple[str, ...], recipe: str, out: str, root: Path
) -> None:
    made = subprocess.run(
        ["make", "--dry-run", "--old-file=dev", "bundle", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"--recipe 'config/recipes/{recipe}.yaml'" in made
    assert f"--out '{out}'" in made
    assert ("edge-deploy quantize" in made) == (out == "edge/models/default")
