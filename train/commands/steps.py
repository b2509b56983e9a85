"""`edge-train segment` and `shift`: the later steps of system S5, each from the run of the one
before.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from train.commands.terminal import parse_overrides, recipe_of, show

if TYPE_CHECKING:
    from train.learning.fit import TrainedRun

__all__ = ["segment", "shift"]

PATH = click.Path(path_type=Path)
WORKERS = os.cpu_count() or 1
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
        help="A finished run, whose labels and weights this goes on from.",
    ),
    click.option(
        "--out", type=PATH, required=True, help="Run folder; an interrupted run in it is resumed."
    ),
    click.option(
        "--cache", type=PATH, default=Path("build/features"), show_default=True, help="As of `fit`."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=YAML",
        help="Replace a key of the recipe: --set steps=200",
    ),
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
    """As `segment`, with noise and other animals mixed in: from clean recordings towards what a
    recorder hears.
    """
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

    loaded = recipe_of(recipe, parse_overrides(overrides))
    run(loaded, read_corpus(corpus), folder=out, report=show, **options)
    click.echo(f"{out}: trained; next: edge-train calibrate --corpus {corpus} --run {out}")
