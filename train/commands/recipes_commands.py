"""`edge-train recipes`: the paper of each recipe, and where the recipe departs from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import UserError
from train.commands.options import PATH

if TYPE_CHECKING:
    from train.recipe.recipe import Recipe

__all__ = ["recipes"]


@click.command()
@click.argument("files", nargs=-1, type=PATH, metavar="[RECIPE...]")
@click.option(
    "--folder",
    type=PATH,
    default=Path("config/recipes"),
    show_default=True,
    help="Where recipes are, when none is named.",
)
def recipes(files: tuple[Path, ...], folder: Path) -> None:
    """List recipes with their paper, its section, and where they depart from it.

    A departure is a key of the recipe whose value is not the paper's, with the reason.
    """
    from train.recipe.load import load_recipe

    named = files or tuple(sorted(folder.glob("*.yaml")))
    if not named:
        raise UserError(f"{folder}: has no recipe; name recipes, or their folder with --folder")
    loaded = [load_recipe(file) for file in named]
    click.echo("\n\n".join("\n".join(_lines(recipe)) for recipe in loaded))


def _lines(recipe: Recipe) -> Iterator[str]:
    if not recipe.paper:
        yield f"{recipe.name}: the project's own, of no paper"
        return
    section = f", {recipe.section}" if recipe.section else ""
    yield f"{recipe.name}: {recipe.paper}{section}"
    for key, reason in recipe.departs.items():
        yield f"  departs in {key}: {' '.join(reason.split())}"
