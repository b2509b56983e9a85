"""The experiments of a paper by one command, and the plans that the project has of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from edge.bundle.strictjson import read_json
from edge.errors import ConfigError
from tests.train.command_line import edge_train
from tests.train.tiny import TINY
from tests.train.tones import write_collection
from train.commands.plan import load_plan
from train.corpus.corpus import read_corpus, recordist_key

PART = {"species": 3, "recordings": 8, "test_share": 0.25, "folds": 3}
FOREST: dict[str, Any] = {
    "network": {"kind": "spherical_kmeans", "options": {"bases": 24}},
    "objective": {"kind": "spherical_kmeans", "batch": 8, "whitening_windows": 24},
    "classifier": {"kind": "forest", "trees": 20},
    "steps": 6,
}
SWEEP: dict[str, Any] = {"of": "tiny", "optimisers": ["adam", "sgd"], "rates": [0.01]}
COMPACT: dict[str, Any] = {
    "name": "tiny",
    "frontend": TINY["frontend"],
    "network": {"kind": "mscnn", "options": {"width": 4, "time_pool": 8}},
    "steps": 2,
    "steps_per_epoch": 1,
}


def plan_file(folder: Path, root: Path, beside: Sequence[dict[str, Any]] = (), **more: Any) -> Path:
    recipe = str(root / "config" / "recipes" / "s1-spherical-kmeans-forest.yaml")
    systems = [
        {"name": "as published", "recipe": recipe, "reported": "0.9 of birds", "small": FOREST},
        {
            "name": "one tree",
            "recipe": recipe,
            "note": "few bases",
            "set": {"name": "one-tree"},
            "small": {**FOREST, "classifier": {"kind": "forest", "trees": 1}},
        },
    ]
    file = folder / "plan.yaml"
    content = {"title": "Trees", "corpus": PART, "systems": [*systems, *beside], **more}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_a_plan_becomes_a_table_and_a_picture(root: Path, tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "collection")
    plan, out = plan_file(tmp_path, root), tmp_path / "out"
    given = ("paper", plan, "--data", collection, "--out", out, "--jobs", 1)
    done = edge_train(*given, "--runs", 2)
    assert done.exit_code == 0, done.output
    text = (out / "paper.md").read_text(encoding="utf-8")
    assert text in done.output
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    reports = [
        read_json(out / f"one-tree-{seed}" / "run" / "report" / "report.json") for seed in (0, 1)
    ]
    scores = [report["recordings"]["closed"]["macro_f1"]["value"] for report in reports]
    assert lines[0].startswith("| as published | 0.9 of birds | 2 | ")
    assert lines[1].startswith(f"| one tree (few bases) | – | 2 | {sum(scores) / 2:.3f} ± ")
    assert matplotlib.image.imread(out / "scores.png").std() > 0
    before = {file: file.stat().st_mtime_ns for file in out.glob("*/run/model.pt")}
    assert len(before) == 4
    assert edge_train(*given, "--runs", 2).exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in out.glob("*/run/model.pt")} == before


def more_systems(root: Path) -> list[dict[str, Any]]:
    recipes = root / "config" / "recipes"
    triplets = {key: value for key, value in COMPACT.items() if key != "name"}
    return [
        {"name": "logits", "recipe": str(recipes / "s1-mscnn-crossentropy.yaml"), "set": COMPACT},
        {"name": "mined", "recipe": str(recipes / "s1-mscnn-triplet-mel.yaml"), "set": triplets},
    ]


def test_a_plan_has_averages_sweeps_and_pictures_of_triplets(root: Path, tmp_path: Path) -> None:
    """Shugayev's last row of Table 2, the slides' sweep, and Figure 5 of Thakur et al. 2019."""
    collection, out = write_collection(tmp_path / "collection"), tmp_path / "out"
    content = {
        "title": "Trees",
        "corpus": PART,
        "systems": more_systems(root),
        "averages": [
            {"name": "both", "of": ["tiny", "s1-mscnn-triplet-mel"], "reported": "CV 0.8"}
        ],
        "sweeps": [SWEEP],
    }
    plan = tmp_path / "plan.yaml"
    plan.write_text(json.dumps(content), encoding="utf-8")
    given = ("paper", plan, "--data", collection, "--out", out, "--jobs", 1)
    done = edge_train(*given)
    assert done.exit_code == 0, done.output
    text = (out / "paper.md").read_text(encoding="utf-8")
    assert "| both | CV 0.8 | 1 | " in text
    rows = [line for line in text.splitlines() if line.startswith("| both | ")][-1].split(" | ")
    assert rows[1:3] == ["–", "–"], "no bundle decides for an average"
    assert all(0 <= float(cell.strip(" |")) <= 1 for cell in rows[3:])
    assert "| adam | 0.01 | " in text
    pictures = ("triplets.png", "sweep/tiny/sweep.png", "tiny-0/run/report/predictions.png")
    for picture in pictures:
        assert matplotlib.image.imread(out / picture).std() > 0
    made = {file: file.stat().st_mtime_ns for file in out.glob("sweep/tiny/*/trial.json")}
    assert len(made) == 2
    (out / "sweep" / "tiny" / "sgd-0.01" / "trial.json").unlink()
    again = edge_train(*given)
    assert again.exit_code == 0, again.output
    assert "pairs to train: 1" in again.output
    assert (out / "paper.md").read_text(encoding="utf-8") == text


def test_a_collection_without_unknown_species_has_a_table_too(root: Path, tmp_path: Path) -> None:
    collection, out = write_collection(tmp_path / "collection"), tmp_path / "out"
    rows = collection.read_text(encoding="utf-8").splitlines()
    collection.write_text("\n".join(row for row in rows if ",unknown," not in row))
    plan = plan_file(tmp_path, root)
    done = edge_train("paper", plan, "--data", collection, "--out", out, "--jobs", 1)
    assert done.exit_code == 0, done.output
    line, *_ = [line for line in done.output.splitlines() if line.startswith("| as published | ")]
    assert line.split(" | ")[7] == "–", "nobody has measured how it rejects them"


def test_what_is_there_must_be_what_is_asked_for(root: Path, tmp_path: Path) -> None:
    """The same recordings, divided in the same way: else two things are compared as one."""
    collection, other = (write_collection(tmp_path / name) for name in ("collection", "other"))
    plan, out = plan_file(tmp_path, root), tmp_path / "out"
    given = ("paper", plan, "--out", out, "--jobs", 1, "--data")
    assert edge_train(*given, collection).exit_code == 0
    moved = edge_train(*given, other)
    assert moved.exit_code == 1
    said = f"is of the recordings in {collection.parent}, not of those in {other.parent}"
    assert said in moved.output
    divided = edge_train(*given, collection, "--split-by", "recording")
    assert divided.exit_code == 1
    assert "is another part of a collection" in divided.output
    # Nor is a network evaluated on what it has learnt from.
    shutil.rmtree(out / "corpus")
    learnt = edge_train(*given, collection, "--split-by", "recording")
    assert learnt.exit_code == 1
    assert "has a training with another corpus" in learnt.output
    # A run that ended before its part was chosen leaves the whole, divided in its own way.
    for folder in (out / "corpus", *out.glob("*-0")):
        shutil.rmtree(folder)
    again = edge_train(*given, collection, "--split-by", "recording")
    assert again.exit_code == 0, again.output
    assert read_json(out / "all" / "corpus.json")["by"] == "recording"
    assert "at random by recording" in again.output


def test_by_recording_a_person_is_in_both_parts(root: Path, tmp_path: Path) -> None:
    people = {}
    collection = write_collection(tmp_path / "collection")
    for by in ("recordist", "recording"):
        prepared = tmp_path / by
        done = edge_train("prepare", collection, "--out", prepared, "--split-by", by)
        assert done.exit_code == 0, done.output
        heard: dict[str, set[str]] = {"test": set(), "dev": set()}
        for r in read_corpus(prepared).recordings:
            if r.role == "known" and r.split in heard:
                heard[r.split].add(recordist_key(r.recordist))
        people[by] = heard["test"] & heard["dev"]
    assert not people["recordist"]
    assert people["recording"]


def test_the_full_budget_is_the_paper_s(root: Path) -> None:
    plan = root / "config" / "papers" / "s1.yaml"
    small, full = (load_plan(plan, full=each) for each in (False, True))
    triplet = next(system for system in small.systems if system.name == "MS-CNN-TL")
    assert small.recipe(triplet, seed=0).steps < full.recipe(triplet, seed=0).steps == 100_000
    assert full.recipe(triplet, seed=0).network.options["width"] == 64
    assert (small.corpus.species, full.corpus.species) == (8, 20)


def test_every_plan_can_be_begun(root: Path) -> None:
    plans = sorted((root / "config" / "papers").glob("*.yaml"))
    assert plans
    for file in plans:
        for full in (False, True):
            plan = load_plan(file, full=full)
            assert file.stem.upper() in (plan.title.split(":")[0], "FUTURE")
            for system in plan.systems:
                recipe = plan.recipe(system, seed=1)
                assert recipe.network.pretrained == system.pretrained, system.name


def test_what_stands_beside_a_dynamic_margin_differs_in_the_margin_alone(root: Path) -> None:
    margins = ("margin", "margin_maximum")
    for full in (False, True):
        plan = load_plan(root / "config" / "papers" / "future.yaml", full=full)
        recipes = [plan.recipe(system, seed=0).as_mapping() for system in plan.systems]
        for network in ("cnn1", "cnn2"):
            of_triplets = [
                recipe
                for recipe in recipes
                if recipe["network"]["kind"] == network and recipe["objective"]["kind"] == "triplet"
            ]
            assert [recipe["network"]["options"]["normalise"] for recipe in of_triplets] == [
                True
            ] * 2
            fixed, dynamic = (recipe["objective"] for recipe in of_triplets)
            assert fixed["margin"] == fixed["margin_maximum"]
            assert (dynamic["margin"], dynamic["margin_maximum"]) == (0.2, 0.6)
            for recipe in of_triplets:
                del recipe["name"]
                for key in margins:
                    del recipe["objective"][key]
            assert of_triplets[0] == of_triplets[1]


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ("--runs 3", "s1"),
        ("--runs 3 --split-by recordist", "s1-by-recordist"),
        ("--split-by=recording", "s1-by-recording"),
        ("--full", "s1-full"),
        ("--full --split-by recordist", "s1-full-by-recordist"),
    ],
)
def test_make_has_a_folder_for_each_budget_and_division(
    root: Path, arguments: str, folder: str
) -> None:
    """Else what docs/papers.md names is refused one after the other."""
    command = ["make", "--dry-run", "--old-file=dev", "paper-s1", f"ARGS={arguments}"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert f"--out build/papers/{folder} {arguments}\n" in f"{said}\n"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"corpus": {**PART, "by": "day"}}, "corpus: by: 'day' is none of recordist, recording"),
        ({"full": {"species": 1}}, "corpus: species: must be at least 2, not 1"),
        ({"full": {"recordings": 3}}, "corpus: recordings: must be at least 4, not 3"),
        *(
            ({"corpus": {**PART, key: -1}}, f"corpus: {key}: must be at least 0, not -1")
            for key in ("unknown", "noise", "background")
        ),
        ({"corpus": {**PART, "test_share": 3}}, "corpus: test_share: 3 is outside 0..0.9"),
        ({"rule": "foo"}, "rule: 'foo' is none of gaussian_density, gaussian_density_at"),
        (
            {"figures": []},
            "may have averages, full, rule, sweeps, title",
        ),
        (
            {"averages": [{"name": "both", "of": ["one-tree", "two-trees"]}]},
            r"averages\[0\].of: no system has a recipe named two-trees",
        ),
        ({"averages": [{"name": "both", "of": ["one-tree"]}]}, "name the recipes of at least two"),
        ({"averages": {"both": 1}}, "averages: must be a list"),
        ({"sweeps": [{**SWEEP, "optimisers": ["adan"]}]}, "optimisers: 'adan' is none of adagrad"),
        ({"sweeps": [{**SWEEP, "rates": [0.0]}]}, "rates: give learning rates above 0"),
        ({"sweeps": [{**SWEEP, "of": "one-tree"}]}, "and one-tree only embeds"),
    ],
)
def test_a_faulty_plan_is_one_line(
    root: Path, tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    file = plan_file(tmp_path, root, more_systems(root)[:1], **more)
    with pytest.raises(Exception, match=reason) as caught:
        load_plan(file, full=True)
    assert isinstance(caught.value, ConfigError | ValueError)
    assert "\n" not in str(caught.value)
