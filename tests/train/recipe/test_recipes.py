"""The recipes that come with the project: each is read, and its network fits its frontend."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.learning.members import member_network
from train.recipe.load import load_recipe

RECIPES = sorted((Path(__file__).parents[3] / "config" / "recipes").glob("*.yaml"))
# The input of each system, at windows of 5 s where its name says no other; `test_papers_numbers`
# holds what a paper states.
SHAPES = {
    "s1": (3, 40, 216),
    "s1-mscnn-triplet-2s": (3, 40, 201),
    "s1-mscnn-triplet-mel": (1, 40, 216),
    "s1-spherical-kmeans-forest": (1, 40, 216),
    "s1-sparse-dictionary": (1, 40, 216),
    "s1-elm": (1, 40, 216),
    "s2": (3, 40, 200),
    "s3": (10, 128, 321),
    "s4": (3, 299, 997),
    "s4-soundception-15s": (3, 299, 2990),
    "s5": (1, 128, 512),
    "s5-classification": (1, 128, 313),
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read_and_its_network_fits_its_frontend(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    shape = SHAPES.get(recipe.name, SHAPES.get(recipe.name[:2], recipe.frontend.shape))
    assert recipe.frontend.shape == shape
    network = member_network(recipe, ["a", "b", "c"])
    assert sum(p.numel() for p in network.parameters()) > 5_000
    assert load_recipe(path, from_scratch=True).network.pretrained is False


def test_every_system_of_the_papers_has_a_recipe() -> None:
    assert {path.stem.split("-")[0] for path in RECIPES} == {
        "default",
        "own",
        "student",
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
    }
