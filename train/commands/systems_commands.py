"""`edge-train systems`: all systems of the papers trained small, and the table of README."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edge.errors import UserError
from edge.terminal import aside

__all__ = ["published", "systems", "table"]

PATH = click.Path(path_type=Path)
PLAN = click.option(
    "--plan",
    type=PATH,
    default=Path("config/systems.yaml"),
    show_default=True,
    help="The systems, and how small.",
)
OUT = click.option(
    "--out",
    type=PATH,
    default=Path("build/systems"),
    show_default=True,
    help="Corpus, features, runs and bundles.",
)
RUNS = click.option(
    "--runs",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Of ten windows each, for the median.",
)


@click.command()
@click.option("--data", type=PATH, required=True, help="Manifest CSV or folder of recordings.")
@PLAN
@OUT
@click.option(
    "--runs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of each system, with other seeds.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="At once, one thread each.",
)
def systems(data: Path, plan: Path, out: Path, runs: int, jobs: int) -> None:
    """Train every system of a plan alike; interrupted, the same command goes on. Then: edge-train
    systems-table.
    """
    from train.commands.systems import load_plan, train_systems

    rows = train_systems(load_plan(plan), data, out=out, runs=runs, jobs=jobs, say=aside)
    click.echo(f"{out}: {len(rows)} runs; next: edge-train systems-table --plan {plan} --out {out}")


@click.command("systems-table")
@PLAN
@OUT
@RUNS
def table(plan: Path, out: Path, runs: int) -> None:
    """Lay the systems side by side as Markdown, measuring how long each bundle takes here; fails if
    one has learnt nothing.
    """
    from train.commands.systems import load_plan, read_rows
    from train.commands.systems_table import not_above_chance, write_table

    loaded = load_plan(plan)
    click.echo(write_table(loaded, out, runs=runs))
    failed = not_above_chance(read_rows(loaded, out))
    if failed:
        raise UserError("; ".join(failed))


@click.command("published-sizes")
@click.argument("recipes", nargs=-1, type=PATH, required=True, metavar="RECIPE...")
@click.option(
    "--species",
    type=click.IntRange(2),
    default=100,
    show_default=True,
    help="How many the last layer tells apart.",
)
@RUNS
def published(recipes: tuple[Path, ...], species: int, runs: int) -> None:
    """What recipes cost at their own size: parameters, multiply-adds and time for one window, with
    weights at random.
    """
    from train.commands.systems_table import published_sizes

    click.echo(published_sizes(recipes, species=species, runs=runs))
