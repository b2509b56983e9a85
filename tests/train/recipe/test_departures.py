"""Where a recipe departs from its paper: only keys it has, each with a reason, and listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.errors import SpecError
from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tiny import TINY
from train.recipe.departures import REPLACED
from train.recipe.load import load_recipe, parse_recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
PAPER: dict[str, Any] = {**TINY, "paper": "Somebody 2020", "section": "3.2"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"departs": {"speed": "why"}}, "departs: 'speed': the recipe has no key 'speed'"),
        (
            {"departs": {"objective.bath": "why"}},
            "objective has no key 'bath' .known:",
        ),
        ({"departs": {"network.options.depth": "why"}}, "options has no key 'depth'"),
        ({"departs": {"steps.of": "why"}}, "steps has no key 'of'"),
        ({"departs": {"steps": " "}}, "departs: steps: say why the recipe departs"),
        ({"departs": {"steps": 5}}, "departs: steps: must be text that says why, not 5"),
        ({"departs": ["steps"]}, "departs: must be a mapping of keys"),
        ({"departs": {7: "why"}}, "departs: the key 7 is not text"),
        ({"paper": "", "departs": {"steps": "why"}}, "departs and section need a paper"),
    ],
)
def test_a_departure_that_is_none_is_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        parse_recipe({**PAPER, **change}, where="r.yaml")
    assert str(caught.value).startswith("r.yaml: ")
    assert "\n" not in str(caught.value)


def test_departures_are_read_back_and_do_not_decide_what_is_trained() -> None:
    departs = {"objective.batch": "smaller", "network.options.width": "narrower", "crop": "none"}
    recipe = parse_recipe({**PAPER, "departs": departs}, where="")
    assert recipe.departs == departs
    assert parse_recipe(recipe.as_mapping(), where="") == recipe
    assert recipe.digest == parse_recipe(TINY, where="").digest


def test_a_triplet_recipe_without_the_newer_keys_still_resumes_its_checkpoints() -> None:
    values = load_recipe(RECIPES / "s1-mscnn-triplet.yaml").as_mapping()
    older = {**values["objective"]}
    del older["margin_rule"], older["mining_distance"]
    before = {**values, "objective": older, "steps": 1000, "steps_per_epoch": 10}
    for neutral in ({}, {"keep": "last"}):
        # The digest that this recipe had before there were such keys.
        assert (
            parse_recipe({**before, **neutral}, where="").digest
            == "60d01a5fc381017098d3750a6f856b758a1072afd4e944b51b1e2a420fde5348"
        )


def test_a_key_replaced_for_a_run_departs_from_the_paper(tmp_path: Path) -> None:
    stated = {"objective.batch": "smaller", "learning_rate": "higher"}
    file = write_recipe(tmp_path, {**PAPER, "departs": stated})
    overrides = {"objective": {"kind": "cross_entropy"}, "steps": 20, "seed": 4}
    recipe = load_recipe(file, overrides=overrides)
    assert recipe.departs == {
        "learning_rate": "higher",
        "objective": REPLACED,
        "steps": REPLACED,
    }
    assert load_recipe(write_recipe(tmp_path, TINY), overrides=overrides).departs == {}


def test_a_paper_s_recipe_without_its_published_weights_departs(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, PAPER), from_scratch=True)
    assert recipe.departs == {"network.pretrained": REPLACED}


def test_recipes_are_listed_with_paper_section_and_departures(tmp_path: Path) -> None:
    write_recipe(tmp_path, {**PAPER, "departs": {"steps": "fewer,\n  to be quick"}})
    write_recipe(tmp_path, {**TINY, "name": "ours"})
    listed = edge_train("recipes", "--folder", tmp_path)
    assert_done(listed)
    assert listed.output.splitlines() == [
        "ours: the project's own, of no paper",
        "",
        "tiny: Somebody 2020, 3.2",
        "  departs in steps: fewer, to be quick",
    ]
    named = edge_train("recipes", tmp_path / "ours.yaml")
    assert named.output == "ours: the project's own, of no paper\n"
    (tmp_path / "none").mkdir()
    nothing = edge_train("recipes", "--folder", tmp_path / "none")
    assert nothing.exit_code == 1
    assert "none: has no recipe; name recipes" in nothing.output


@pytest.mark.parametrize("path", sorted(RECIPES.glob("s[1-5]-*.yaml")), ids=lambda path: path.stem)
def test_the_recipe_of_a_system_names_its_paper_and_the_section(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.paper
    assert recipe.section
