"""What the commands of `edge-train` share: options that replace keys of a recipe, and progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.strictyaml import parse_yaml
from edge.terminal import aside

if TYPE_CHECKING:
    from train.recipe.recipe import Recipe

__all__ = ["from_scratch", "parse_overrides", "recipe_of", "show"]


def _note_from_scratch(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta["from_scratch"] = value


from_scratch = click.option(
    "--from-scratch",
    is_flag=True,
    expose_value=False,
    callback=_note_from_scratch,
    help="Leave out the published weights that the recipe's network starts from.",
)


def recipe_of(path: Path, overrides: dict[str, Any]) -> Recipe:
    """The recipe with what the command line replaces in it."""
    from train.recipe.recipe import load_recipe

    return load_recipe(
        path,
        overrides=overrides,
        from_scratch=click.get_current_context().meta.get("from_scratch", False),
    )


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return `KEY=YAML` pairs as a mapping; raises `FaultyConfigError` naming the option."""
    pairs = [o.partition("=") for o in overrides]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("--set needs KEY=VALUE")
    return {key: parse_yaml(value, source=f"--set {key}") for key, _, value in pairs}


def show(member: int, progress: Any) -> None:
    """A line of a member's progress."""
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in progress.numbers.items() if k != "step")
    left = f"{progress.left_s / 60:.1f} min left"
    aside(f"member {member}  step {progress.step}/{progress.steps}  {numbers}  {left}")
