"""Whatever is wrong with a recipe, a plan or `--set KEY=YAML` is one line, and not a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import train.commands.cli
from edge.errors import FaultyConfigError
from train.commands.plan import load_plan
from train.recipe.load import load_recipe

# Each as the value of a key, so that it can also stand behind `--set KEY=`.
FAULTY = {
    "a duplicate key": (
        "{kind: a, kind: b}",
        r"line \d+: is not YAML: the key kind is there twice",
    ),
    "a 13th month": ("2019-13-01", "is not YAML: month must be in 1..12"),
    "deep nesting": ("[" * 5000, "is not YAML"),
    "an alias": ("[&one [1], *one]", r"line \d+: is not YAML: aliases are not used here"),
    "an open bracket": ("[1", r"line \d+: is not YAML"),
}


def fit(recipe: Path, *arguments: str) -> Result:
    """`edge-train fit` up to where it has read the recipe."""
    nowhere = str(recipe.parent / "nowhere")
    command = ["fit", "--recipe", str(recipe), "--corpus", nowhere, "--out", nowhere]
    return CliRunner().invoke(train.commands.cli.main, [*command, *arguments])


def table(plan: Path) -> Result:
    command = ["systems-table", "--plan", str(plan), "--out", str(plan.parent / "nowhere")]
    return CliRunner().invoke(train.commands.cli.main, command)


def assert_one_line(result: Result, reason: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert re.fullmatch(f"error: .*{reason}.*\n", result.output), result.output


@pytest.mark.parametrize(("value", "reason"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_recipe_is_one_line(value: str, reason: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: faulty\nnetwork: {value}\n", encoding="utf-8")
    assert_one_line(fit(recipe), f"{re.escape(str(recipe))}: .*{reason}")
    with pytest.raises(FaultyConfigError):
        load_recipe(recipe)


@pytest.mark.parametrize(("value", "reason"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_plan_is_one_line(value: str, reason: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"systems: []\ncorpus: {value}\n", encoding="utf-8")
    assert_one_line(table(plan), f"{re.escape(str(plan))}: .*{reason}")
    with pytest.raises(FaultyConfigError):
        load_plan(plan)


@pytest.mark.parametrize(("value", "reason"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_replacement_is_one_line(
    value: str, reason: str, root: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes((root / "config" / "recipes" / "default.yaml").read_bytes())
    assert_one_line(fit(recipe, "--set", f"network={value}"), f"--set network: .*{reason}")


@pytest.mark.parametrize("read", [fit, table], ids=["recipe", "plan"])
def test_a_file_that_cannot_be_read_is_one_line(read: object, tmp_path: Path) -> None:
    assert callable(read)
    missing = tmp_path / "missing.yaml"
    where = re.escape(str(missing))
    assert_one_line(read(missing), f"{where}: file: cannot be read: No such file or directory")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: Amsel für Anfänger\n".encode("latin-1"))
    assert_one_line(read(latin), f"{re.escape(str(latin))}: file: is not UTF-8 text")
    listed = tmp_path / "listed.yaml"
    listed.write_text("[1, 2]\n", encoding="utf-8")
    assert_one_line(read(listed), "must be keys with values .see config/.*")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("notes: 2019-12-01", "notes: must be text"),
        ("learning_rate: .nan", "learning_rate: nan is outside 0..1e.30"),
        ("stages: 5", "stages: must be a list"),
        ("species: 5", "species: must be a list"),
        ("frontend: 5", "frontend: must be a mapping of keys"),
        ("network: {on: 1, kind: mscnn}", "network: the key True is not text; put it in quotes"),
    ],
)
def test_a_value_that_no_recipe_can_hold_is_one_line(
    line: str, reason: str, root: Path, tmp_path: Path
) -> None:
    key, _, value = line.partition(": ")
    recipe = root / "config" / "recipes" / "default.yaml"
    command = ["fit", "--recipe", str(recipe), "--set", f"{key}={value}"]
    places = ["--corpus", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(train.commands.cli.main, [*command, *places])
    assert_one_line(result, reason)


@pytest.mark.parametrize(
    "text",
    [
        "{corpus: 5, systems: []}",
        "{corpus: {}, systems: [5]}",
        "{corpus: {}, systems: [{name: a, recipe: b, set: 5}]}",
    ],
)
def test_a_plan_of_another_shape_is_one_line(text: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text, encoding="utf-8")
    assert_one_line(table(plan), "must be a mapping of keys")


@pytest.mark.parametrize("key", ["set", "small"])
def test_a_key_of_a_plan_that_is_no_text_is_one_line(key: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"{{corpus: {{}}, systems: [{{name: a, recipe: b, {key}: {{1: 1}}}}]}}")
    assert_one_line(table(plan), f"systems.0.: {key}: the key 1 is not text; put it in quotes")
