"""`edge-train folds`, `average`, `rows` and `lists`: what S5 and S2 do beside training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.terminal import aside
from train.commands.options import (
    CACHE,
    CORPUS,
    DEVICE,
    PATH,
    RECIPE,
    REPLACE,
    STARTING_WEIGHTS,
    WORKERS,
    recipe_of,
)
from train.commands.progress import show

if TYPE_CHECKING:
    from train.judging.submission import Weights

__all__ = ["average", "folds", "lists", "rows"]


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
@CORPUS
@click.option(
    "--run", "folders", type=PATH, multiple=True, required=True, help="A calibrated run; again."
)
@click.option("--out", type=PATH, required=True, help="Folder of average.json.")
def average(corpus: Path, folders: tuple[Path, ...], out: Path) -> None:
    """Judge the test with several runs together, each with the weight of its recipe."""
    from train.commands.folds import average_runs
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    runs = [load_run(folder) for folder in folders]
    click.echo(average_runs(runs, read_corpus(corpus), out=out))


@click.command()
@CORPUS
@click.option("--run", "folder", type=PATH, required=True, help="A calibrated run.")
@CACHE
@WORKERS
def rows(corpus: Path, folder: Path, cache: Path, workers: int) -> None:
    """Compare rows of 5 s that are heard alone with the same ones in their whole recordings.

    For the segmentation network, which hears audio of any length.
    """
    from train.commands.rows import compare_rows
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    click.echo(compare_rows(load_run(folder), read_corpus(corpus), cache=cache, workers=workers))


@click.command()
@CORPUS
@click.option("--run", "folder", type=PATH, required=True, help="A calibrated run.")
@click.option("--region", type=PATH, default=None, help="YAML list of the species that live there.")
@click.option(
    "--weights",
    type=click.Choice(["descending", "equal"]),
    default="descending",
    show_default=True,
    help="Of the ten species in the file that is written.",
)
@click.option("--out", type=PATH, required=True, help="The file of lists, .csv.")
def lists(corpus: Path, folder: Path, region: Path | None, weights: Weights, out: Path) -> None:
    """Write the ten likeliest species of each chunk of 5 s of the test, as for BirdCLEF 2020.

    Prints c-mAP and r-mAP with both kinds of weights (system S2).
    """
    from train.commands.lists import write_submission
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    run = load_run(folder)
    click.echo(write_submission(run, read_corpus(corpus), region=region, weights=weights, out=out))
