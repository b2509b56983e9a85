"""The experiments of a paper by one command, and the plans that the project has of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from edge.bundle.strictjson import read_json
from edge.errors import ConfigError
from tests.train.command_line import edge_train
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


def plan_file(folder: Path, root: Path, **more: Any) -> Path:
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
    content = {"title": "Trees", "corpus": PART, "systems": systems, **more}
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
    # A run that ended before its part was chosen leaves the whole, divided in its own way.
    shutil.rmtree(out / "corpus")
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
            "a plan has the keys corpus, systems, a list, and may have full, rule, title",
        ),
    ],
)
def test_a_faulty_plan_is_one_line(
    root: Path, tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Exception, match=reason) as caught:
        load_plan(plan_file(tmp_path, root, **more), full=True)
    assert isinstance(caught.value, ConfigError | ValueError)
    assert "\n" not in str(caught.value)
