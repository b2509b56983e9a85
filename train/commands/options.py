"""Options that several commands of `edge-train` share, and how a recipe is read with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.strictyaml import parse_yaml
from edge.terminal import printable

if TYPE_CHECKING:
    from train.recipe.recipe import Recipe

__all__ = [
    "BUNDLE_OUT",
    "CACHE",
    "CALIBRATED_RUN",
    "COLLECTIONS",
    "CORPUS",
    "DATA",
    "DEVICE",
    "NEW_RUN",
    "PATH",
    "RECIPE",
    "REPLACE",
    "RUN",
    "STARTING_WEIGHTS",
    "WORKERS",
    "recipe_of",
]

Command = Callable[..., Any]


class _Path(click.Path):
    """A path that can stand in reports, cards and tables, which are UTF-8."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError:
            self.fail(f"'{printable(str(path))}': its name is not UTF-8, rename it", param, ctx)
        return path


PATH = _Path(path_type=Path)

RECIPE = click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
DATA = click.option(
    "--data", type=PATH, required=True, help="Manifest CSV or folder of recordings."
)
COLLECTIONS = click.option(
    "--data",
    type=PATH,
    multiple=True,
    required=True,
    help="Manifest CSV or folder of recordings. Given again: further ones, beside the split of the "
    "first.",
)
CORPUS = click.option("--corpus", type=PATH, required=True, help="What `prepare` wrote.")
RUN = click.option("--run", "folder", type=PATH, required=True, help="A finished run of `fit`.")
CALIBRATED_RUN = click.option(
    "--run", "folder", type=PATH, required=True, help="A run that is calibrated."
)
BUNDLE_OUT = click.option(
    "--out", type=PATH, required=True, help="The bundle's folder; replaced whole."
)
NEW_RUN = click.option(
    "--out", type=PATH, required=True, help="Run folder; an interrupted run in it is resumed."
)
CACHE = click.option(
    "--cache",
    type=PATH,
    default=Path("build/features"),
    show_default=True,
    help="Features, kept by the digest of their spec.",
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="Processes or threads at once.",
)
REPLACE = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=YAML",
    help="Replace a key of the recipe: --set steps=200",
)


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    context.meta[str(option.name)] = value


def STARTING_WEIGHTS(command: Command) -> Command:  # noqa: N802
    """Add the options that say what weights the training starts from, read by `recipe_of`."""
    from_scratch = click.option(
        "--from-scratch",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Leave out the published weights that the recipe's network starts from.",
    )
    pretrained = click.option(
        "--pretrained",
        type=PATH,
        expose_value=False,
        callback=_keep,
        metavar="FILE",
        help="Start from the weights in this file, a state_dict of timm's network.",
    )
    return from_scratch(pretrained(command))


def recipe_of(path: Path, overrides: Sequence[str], *, emptied: Sequence[str] = ()) -> Recipe:
    """Return the recipe `path` with what `--set KEY=YAML` replaces in it.

    The keys `emptied` are empty lists unless they are set. Raises `ConfigError` or `SpecError`,
    which name the file or the option.
    """
    from train.recipe.load import load_recipe

    given = click.get_current_context().meta
    scratch, weights = given.get("from_scratch", False), given.get("pretrained")
    if scratch and weights is not None:
        raise click.UsageError("--from-scratch and --pretrained: give one of the two")
    return load_recipe(
        path,
        overrides={**{key: [] for key in emptied}, **_parse(overrides)},
        from_scratch=scratch,
        weights=weights,
    )


def _parse(overrides: Sequence[str]) -> dict[str, Any]:
    """Return `KEY=YAML` pairs as a mapping; raises `FaultyConfigError` naming the option."""
    pairs = [override.partition("=") for override in overrides]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("--set needs KEY=VALUE")
    return {key: parse_yaml(value, source=f"--set {key}") for key, _, value in pairs}
