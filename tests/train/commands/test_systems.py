"""Every system of the papers, made tiny, by one command: recordings to bundles that replay."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import deploy.cli
import edge.cli
from deploy.quantize.convert import KINDS, convert
from edge.bundle import load_bundle
from edge.errors import ConfigError, UserError
from tests.support.real_tensorrt import built
from tests.train.command_line import edge_train
from tests.train.tones import RATE_HZ, SPECIES, song, write_collection
from train.commands.plan import Plan, load_plan
from train.commands.sharing import Sharing
from train.commands.systems import read_results, train_all, train_one
from train.corpus.corpus import read_corpus

MEL = {"component": "mel", "level": {"kind": "max"}}
IMAGE = [
    {"component": "linear", "n_fft": n, "level": {"kind": "quantile"}} for n in (1024, 2048, 4096)
]
STACK = {"n_mels": 32, "hop_length": 512, "stack": 5, "frames": 40, "channels": [MEL]}
BANDS = {"n_mels": 32, "hop_length": 441, "channels": [MEL]}
MS_CNN = {"kind": "mscnn", "options": {"width": 8, "dropout": 0.1, "time_pool": 8}}
STAGES = [
    {"layers": "top", "steps": 2},
    {"layers": "last", "steps": 4, "batch": 4, "learning_rate": 0.002},
    {"layers": "all", "steps": 6},
]
SEGMENTATION = {
    "frontend": BANDS,
    "network": {
        "kind": "segmentation",
        "options": {
            "width": 16,
            "heads": 4,
            "size": {
                "layers": [1, 1, 1, 1],
                "channels": [8, 8, 16, 16],
                "cardinality": 1,
                "base_width": 64,
            },
        },
    },
    "objective": {"kind": "focal", "batch": 8, "outlier_share": 0.1},
    "head_rate": 1,
}
# What is replaced in each recipe so that it trains in seconds; `after` is the plan's.
TINY: dict[str, dict[str, Any]] = {
    "s1-mscnn-triplet": {"network": MS_CNN, "steps": 2, "steps_per_epoch": 2},
    "s1-spherical-kmeans-forest": {
        "network": {"kind": "spherical_kmeans", "options": {"bases": 24}},
        "objective": {"kind": "spherical_kmeans", "batch": 8, "whitening_windows": 24},
        "classifier": {"kind": "forest", "trees": 20},
        "steps": 6,
    },
    "s2-cnn1-knn": {
        "network": {"kind": "cnn1", "options": {"width": 8, "time_pool": 8}},
        "objective": {"kind": "semihard", "batch": 24, "per_class": 8, "margin": 0.5},
        "classifier": {"kind": "knn", "k": 3},
        "optimiser": "adam",
        "learning_rate": 0.001,
        "steps": 20,
    },
    "s3-mobilenet": {
        "frontend": STACK,
        "network": {"kind": "mobilenet", "options": {"width": 0.25, "features": 64}},
        "objective": {"kind": "cross_entropy", "batch": 8},
        "steps": 20,
    },
    "s4-soundception": {
        "frontend": {"n_mels": 76, "hop_length": 1024, "frames": 90, "channels": IMAGE},
        "network": {"kind": "soundception", "options": {"blocks": [0, 0, 0]}},
        "stages": STAGES,
        "steps": 12,
    },
    "s5-classification": {
        "frontend": BANDS,
        "network": {
            "kind": "resnest50",
            "options": {
                "size": {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_width": 8}
            },
        },
        "objective": {"kind": "focal", "batch": 8, "outlier_share": 0.1},
    },
    "s5-segmentation": SEGMENTATION,
    "s5-segment": {
        **SEGMENTATION,
        "objective": {"kind": "focal", "batch": 8, "frame_weight": 0.5},
        "after": "s5-segmentation",
    },
}
PRECISIONS = [kind for kind in KINDS if "tensorrt" in kind.runs_on]
UNCHANGED = ("s1-spherical-kmeans-forest",)  # has no convolution that quantize could convert
LEARNT = ("s1-spherical-kmeans-forest", "s2-cnn1-knn")  # with so little
PART = {
    "species": 3,
    "recordings": 8,
    "unknown": 8,
    "noise": 8,
    "background": 8,
    "test_share": 0.25,
    "folds": 3,
}


def plan_file(folder: Path, root: Path, systems: dict[str, dict[str, Any]]) -> Path:
    entries = [
        {
            "name": f"System {name}",
            "recipe": str(root / "config" / "recipes" / f"{name}.yaml"),
            "set": {"steps": 4, **{key: value for key, value in values.items() if key != "after"}},
            "after": values.get("after", ""),
        }
        for name, values in systems.items()
    ]
    file = folder / "systems.yaml"
    file.write_text(json.dumps({"corpus": PART, "systems": entries}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def plan(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return load_plan(plan_file(tmp_path_factory.mktemp("plan"), root, TINY))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def trained(plan: Plan, collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("systems") / "out"
    result = edge_train(
        "systems", "--data", collection, "--plan", plan.file, "--out", out, "--jobs", 2
    )
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for species in SPECIES:
        soundfile.write(folder / f"{species}.wav", song(species, 6, seed=99), RATE_HZ)
    return folder


@pytest.mark.parametrize("name", TINY)
def test_a_system_is_a_bundle_that_replays(name: str, trained: Path, songs: Path) -> None:
    folder = trained / f"{name}-0"
    bundle = load_bundle(folder / "bundle")
    assert set(SPECIES) == {label.label for label in bundle.labels}
    assert 0 < bundle.manifest.metrics["map_per_recording"] <= 1
    if name in LEARNT:
        assert bundle.manifest.metrics["macro_f1_per_recording"] > 0.9
    assert "c-mAP" in (folder / "run" / "report" / "report.md").read_text(encoding="utf-8")
    with (folder / "run" / "report" / "lists.csv").open(encoding="utf-8") as file:
        assert {row["rank"] for row in csv.DictReader(file)} == {"1", "2", "3"}
    heard = CliRunner().invoke(
        edge.cli.main,
        ["replay", str(songs), "--bundle", str(folder / "bundle"), "--format", "windows"],
    )
    assert heard.exit_code == 0, heard.output
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert {Path(row["file"]).stem for row in rows} == set(SPECIES)


@pytest.mark.rtx
@pytest.mark.parametrize("name", TINY)
def test_the_real_tensorrt_builds_a_system_in_every_precision(name: str, trained: Path) -> None:
    bundle = load_bundle(trained / f"{name}-0" / "bundle")
    model, shape = bundle.model_path.read_bytes(), bundle.frontend.shape
    assert built(model, shape)
    windows = np.random.default_rng(1).random((4, *shape), np.float32)
    for kind in () if name in UNCHANGED else PRECISIONS:
        assert built(convert(model, kind, windows, bundle.manifest.extra_outputs).model, shape)


def test_the_table_has_a_line_for_each(plan: Plan, trained: Path) -> None:
    results = {result.recipe: result for result in read_results(plan, trained)}
    assert set(results) == set(TINY)
    assert all(r.train_s > 0 and r.multiply_adds > 1000 for r in results.values())
    quantised = [
        "quantize",
        str(trained / "s2-cnn1-knn-0" / "bundle"),
        "--precision",
        "int8",
        "--for",
        "onnx",
        "--allow-loss",
    ]
    result = CliRunner().invoke(
        deploy.cli.main, [*quantised, "--windows", str(trained / "s2-cnn1-knn-0" / "windows.npz")]
    )
    assert result.exit_code == 0, result.output
    result = edge_train("systems-table", "--plan", plan.file, "--out", trained, "--runs", 1)
    text = (trained / "systems.md").read_text(encoding="utf-8")
    lines = {line.split("`")[1]: line for line in text.splitlines() if "`" in line}
    assert set(lines) == set(TINY)
    assert len({line.count("|") for line in lines.values()}) == 1
    assert " × |" in lines["s2-cnn1-knn"]
    assert " – |" in lines["s3-mobilenet"]
    assert "Guessing gives a macro F1 of 0.333" in text
    failed = [name for name, r in results.items() if (r.macro_f1["low"] or 0) <= 1 / 3]
    assert (result.exit_code == 1) == bool(failed)
    assert all(f"{results[name].system}, seed 0: macro F1" in result.output for name in failed)
    assert "s2-cnn1-knn" not in failed


def test_what_is_done_is_not_done_again(plan: Plan, collection: Path, trained: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in trained.glob("*/run/model.pt")}
    assert len(before) == len(TINY)
    result = edge_train(
        "systems", "--data", collection, "--plan", plan.file, "--out", trained, "--jobs", 1
    )
    assert "runs to train: 0" in result.output
    assert before == {file: file.stat().st_mtime_ns for file in trained.glob("*/run/model.pt")}


def test_the_part_of_a_collection_is_chosen_by_who_was_heard(trained: Path) -> None:
    corpus = read_corpus(trained / "corpus")
    assert len(corpus.labels) == 3
    assert {
        role: len(corpus.of(role=role)) for role in ("known", "unknown", "noise", "background")
    } == {
        "known": 24,
        "unknown": 8,
        "noise": 8,
        "background": 8,
    }


def test_recipes_at_their_own_size(root: Path) -> None:
    files = [
        root / "config" / "recipes" / f"{name}.yaml"
        for name in ("s1-spherical-kmeans-forest", "s3-mobilenet")
    ]
    result = edge_train("published-sizes", *files, "--species", 6, "--runs", 1)
    assert result.exit_code == 0, result.output
    assert "| `s3-mobilenet` | 10 × 128 × 321 | 0.28 M |" in result.output


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("systems: []", "has the keys corpus, systems, a list"),
        ("{corpus: {species: 1}, systems: []}", "corpus: species: must be at least 2, not 1"),
        ("{corpus: {}, systems: [{name: a, recipes: b}]}", r"systems\[0\]: unknown key 'recipes'"),
        ("{corpus: {}, systems: [{name: a, recipe: b.yaml}]}", "b.yaml: file: cannot be read"),
    ],
)
def test_a_faulty_plan_is_one_line(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=what) as caught:
        load_plan(tmp_path / "plan.yaml")
    assert "\n" not in str(caught.value)


def test_a_failure_in_a_process_of_its_own_reaches_the_one_that_waits(
    root: Path, tmp_path: Path
) -> None:
    file = plan_file(tmp_path, root, {"s3-mobilenet": {}})
    plan = load_plan(file)
    missing = replace(plan.systems[0], recipe="missing.yaml")
    with pytest.raises(ConfigError, match=r"missing.yaml: file: cannot be read") as caught:
        train_one(plan, missing, 0, tmp_path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_system_that_fails_does_not_stop_the_others(plan: Plan, trained: Path) -> None:
    failing = replace(plan.systems[0], recipe="missing.yaml")
    sound = next(s for s in plan.systems if s.recipe.endswith("s2-cnn1-knn.yaml"))
    todo = [(failing, 0), (sound, 0)]
    finished: list[str] = []
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        finished.extend(result.recipe for result in train_all(plan, todo, trained, Sharing()))
    assert finished == ["s2-cnn1-knn"]


def test_two_systems_of_one_name_are_refused(root: Path, tmp_path: Path) -> None:
    file = plan_file(tmp_path, root, {"s3-mobilenet": {}})
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**values, "systems": values["systems"] * 2}), encoding="utf-8")
    with pytest.raises(ConfigError, match="two systems have a recipe named s3-mobilenet"):
        load_plan(file)


def test_a_system_after_one_that_is_not_there_is_refused(root: Path, tmp_path: Path) -> None:
    file = plan_file(
        tmp_path, root, {"s5-segment": TINY["s5-segment"], "s5-segmentation": SEGMENTATION}
    )
    with pytest.raises(
        ConfigError,
        match=r"systems\[0\].after: no system above it has a recipe named s5-segmentation",
    ):
        load_plan(file)


def test_a_later_stage_counts_what_came_before(plan: Plan, trained: Path) -> None:
    results = {result.recipe: result for result in read_results(plan, trained)}
    assert results["s5-segment"].train_s > results["s5-segmentation"].train_s
    assert any((trained / "s5-segment-0" / "run" / "labels").glob("*.csv"))


def test_the_plan_of_readme_is_sound(root: Path) -> None:
    plan = load_plan(root / "config" / "systems.yaml")
    assert {plan.recipe(system, seed=0).name[:2] for system in plan.systems} == {
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
    }
