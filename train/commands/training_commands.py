"""`edge-train fit`, `folds` and `sweep`: from a prepared corpus and a recipe to trained runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import UserError
from edge.terminal import FiniteRange, aside
from train.commands.options import (
    CACHE,
    CORPUS,
    DEVICE,
    NEW_RUN,
    PATH,
    RECIPE,
    REPLACE,
    STARTING_WEIGHTS,
    WORKERS,
    recipe_of,
)
from train.commands.progress import show

if TYPE_CHECKING:
    from train.learning.members import MemberTask
    from train.recipe.recipe import Recipe

__all__ = ["fit", "folds", "sweep"]


@click.command()
@RECIPE
@CORPUS
@NEW_RUN
@CACHE
@click.option("--fold", type=int, default=0, show_default=True, help="The fold that validates.")
@click.option(
    "--minutes",
    type=FiniteRange(min=0),
    help="Train no longer than this, and use what it has learnt; without it, the same command goes "
    "on. Each of several trainings has so long.",
)
@DEVICE
@WORKERS
@REPLACE
@STARTING_WEIGHTS
def fit(
    recipe: Path,
    corpus: Path,
    out: Path,
    fold: int,
    minutes: float | None,
    overrides: Sequence[str],
    **machine: Any,
) -> None:
    """Train; interrupt at any time and run the same command again to go on.

    Where the recordings have no unknown species, it trains again without some of them.
    """
    from train.corpus.corpus import read_corpus
    from train.learning.fit import start_task, train_task
    from train.learning.leaving_out import fit_left_out

    loaded, prepared = recipe_of(recipe, overrides), read_corpus(corpus)
    task = start_task(loaded, prepared, folder=out, fold=fold, **machine)
    if minutes is not None:
        task = dataclasses.replace(task, most_s=60 * minutes)
    trained = train_task(task, prepared, show)
    fit_left_out(trained, prepared, report=show, say=aside, most_s=task.most_s, **machine)
    click.echo(f"{out}: trained; next: edge-train calibrate --corpus {corpus} --run {out}")


@click.command()
@RECIPE
@CORPUS
@click.option(
    "--out", type=PATH, required=True, help="Folder of the folds; what is interrupted is resumed."
)
@click.option(
    "--from",
    "earlier",
    type=PATH,
    default=None,
    help="The --out of the stage before, for a recipe with a pseudo section.",
)
@CACHE
@DEVICE
@WORKERS
@REPLACE
@STARTING_WEIGHTS
def folds(
    recipe: Path,
    corpus: Path,
    out: Path,
    earlier: Path | None,
    cache: Path,
    device: str,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Train with each fold validating in turn, and judge the test with all of them together.

    The bundles OUT/fold-*/bundle judge together in edge replay, with a --bundle for each.
    """
    from train.commands.folds import train_folds
    from train.corpus.corpus import read_corpus

    table = train_folds(
        recipe_of(recipe, overrides),
        read_corpus(corpus),
        out=out,
        earlier=earlier,
        report=show,
        say=aside,
        cache=cache,
        device=device,
        workers=workers,
    )
    click.echo(table)


@click.command()
@RECIPE
@CORPUS
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder of the runs, sweep.csv and sweep.png; interrupted runs are resumed.",
)
@CACHE
@click.option(
    "--optimiser",
    "optimisers",
    multiple=True,
    default=("adam", "adamw", "rmsprop", "sgd"),
    show_default=True,
    help="Optimisers to try.",
)
@click.option(
    "--rate",
    "rates",
    type=FiniteRange(min=0, min_open=True),
    multiple=True,
    default=(0.1, 0.01, 0.001),
    show_default=True,
    help="Learning rates to try.",
)
@WORKERS
@REPLACE
@STARTING_WEIGHTS
def sweep(
    recipe: Path,
    corpus: Path,
    out: Path,
    cache: Path,
    optimisers: tuple[str, ...],
    rates: tuple[float, ...],
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Train a recipe with each optimiser and learning rate, and compare their validation accuracy.

    Prints a table and draws OUT/sweep.png: rows are pairs, bars accuracy.
    """
    from train.corpus.corpus import read_corpus
    from train.learning.fit import start_task
    from train.learning.sweep import sweep as run

    _check_optimisers(optimisers)
    loaded = recipe_of(recipe, overrides)
    prepared = read_corpus(corpus)
    options: dict[str, Any] = {"cache": cache, "fold": 0, "device": "auto", "workers": workers}

    def start(one: Recipe, folder: Path) -> MemberTask:
        return start_task(one, prepared, folder=folder, **options)

    pairs = [(optimiser, rate) for optimiser in optimisers for rate in rates]
    click.echo(run(loaded, pairs, folder=out, start=start, report=show, say=aside))


def _check_optimisers(optimisers: Sequence[str]) -> None:
    from train.recipe.recipe import OPTIMISERS

    unknown = [name for name in optimisers if name not in OPTIMISERS]
    if unknown:
        raise UserError(f"--optimiser: '{unknown[0]}' is none of {', '.join(OPTIMISERS)}")
