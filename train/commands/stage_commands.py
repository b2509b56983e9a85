"""`edge-train segment` and `shift`: the later stages of system S5, each from the run before it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from train.commands.options import CACHE, DEVICE, NEW_RUN, PATH, REPLACE, WORKERS, recipe_of
from train.commands.progress import show

if TYPE_CHECKING:
    from train.learning.run import TrainedRun

__all__ = ["segment", "shift"]

OPTIONS = (
    click.option(
        "--recipe", type=PATH, required=True, help="A file of config/recipes with a pseudo section."
    ),
    click.option("--corpus", type=PATH, required=True, help="What the earlier run was trained on."),
    click.option(
        "--from",
        "earlier",
        type=PATH,
        required=True,
        help="A finished run; training goes on from its labels and weights.",
    ),
    NEW_RUN,
    CACHE,
    DEVICE,
    WORKERS,
    REPLACE,
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    return functools.reduce(lambda inner, option: option(inner), reversed(OPTIONS), command)


@click.command()
@_with_options
def segment(**options: Any) -> None:
    """Label when the species call, with an earlier run, and train on from there.

    The labels are files in OUT/labels that a person can read and correct before training begins.
    """
    from train.learning.segment import segment as run

    _run(run, **options)


@click.command()
@_with_options
def shift(**options: Any) -> None:
    """Do what `segment` does with noise and other animals mixed in, as a recorder hears them."""
    from train.learning.segment import shift as run

    _run(run, **options)


def _run(
    run: Callable[..., TrainedRun],
    *,
    recipe: Path,
    corpus: Path,
    out: Path,
    overrides: Sequence[str],
    **options: Any,
) -> None:
    from train.corpus.corpus import read_corpus

    loaded = recipe_of(recipe, overrides)
    run(loaded, read_corpus(corpus), folder=out, report=show, **options)
    click.echo(f"{out}: trained; next: edge-train calibrate --corpus {corpus} --run {out}")
