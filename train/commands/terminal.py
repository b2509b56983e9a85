"""What the commands of `edge-train` share: errors in one line, options that replace a recipe's
keys, progress on stderr.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import UserError

if TYPE_CHECKING:
    from train.recipe.recipe import Recipe

__all__ = ["OneLineErrors", "aside", "from_scratch", "parse_overrides", "recipe_of", "show"]


class OneLineErrors(click.Group):
    """Prints `error: ...` instead of a traceback for what the user can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as exc:
            click.echo(f"error: {exc}", err=True)
        except OSError as exc:
            if exc.errno not in (
                errno.ENOSPC,
                errno.EFBIG,
                errno.EACCES,
                errno.EROFS,
                errno.EDQUOT,
            ):
                raise
            click.echo(f"error: {exc.filename or 'writing'}: {exc.strerror}", err=True)
        sys.exit(1)


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
    """`KEY=YAML` pairs as a mapping."""
    import yaml

    pairs = [o.partition("=") for o in overrides]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("--set needs KEY=VALUE")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def aside(line: str) -> None:
    """Progress is no result: it must not end up in a file that the result is written to."""
    click.echo(line, err=True)


def show(member: int, progress: Any) -> None:
    """A line of a member's progress."""
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in progress.numbers.items() if k != "step")
    left = f"{progress.left_s / 60:.1f} min left"
    aside(f"member {member}  step {progress.step}/{progress.steps}  {numbers}  {left}")
