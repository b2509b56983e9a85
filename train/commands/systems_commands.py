"""`edge-train systems` and `paper`: systems of the papers trained alike, and tables of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import UserError
from edge.terminal import aside
from train.commands.options import DATA, PATH

if TYPE_CHECKING:
    from train.corpus.splits import Unit

__all__ = ["paper", "published", "systems", "table"]

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
TIMINGS = click.option(
    "--runs",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Timings of ten windows each, of which the median counts.",
)


RUNS = click.option(
    "--runs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Runs of each system, with other seeds.",
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="Systems trained at once, with one thread each.",
)
SCHEDULER = click.option(
    "--scheduler",
    default="",
    metavar="ADDRESS",
    help="Train on the workers of this Dask scheduler, such as tcp://host:8786, which see the same "
    "folders.",
)


BY = click.option(
    "--split-by",
    "by",
    type=click.Choice(["recordist", "recording"]),  # as `prepare` has it: numpy stays out
    help="What is kept from training for the test: whole recordists, or recordings of people who "
    "were learnt from.  [default: as PLAN says]",
)


@click.command()
@DATA
@PLAN
@OUT
@RUNS
@JOBS
@SCHEDULER
def systems(data: Path, plan: Path, out: Path, runs: int, jobs: int, scheduler: str) -> None:
    """Train every system of a plan alike.

    Interrupted, the same command goes on. Then: edge-train systems-table.
    """
    from train.commands.plan import load_plan
    from train.commands.sharing import Sharing
    from train.commands.systems import train_systems

    sharing = Sharing(jobs=jobs, scheduler=scheduler)
    results = train_systems(load_plan(plan), data, out=out, runs=runs, sharing=sharing, say=aside)
    following = f"edge-train systems-table --plan {plan} --out {out}"
    click.echo(f"{out}: {len(results)} runs; next: {following}")


@click.command("systems-table")
@PLAN
@OUT
@TIMINGS
def table(plan: Path, out: Path, runs: int) -> None:
    """Print the systems side by side as Markdown.

    Measures how long each bundle takes here. Fails if a system has learnt nothing.
    """
    from train.commands.plan import load_plan
    from train.commands.systems import read_results
    from train.commands.systems_table import not_above_chance, write_table

    loaded = load_plan(plan)
    click.echo(write_table(loaded, out, runs=runs))
    failed = not_above_chance(read_results(loaded, out))
    if failed:
        raise UserError("; ".join(failed))


@click.command()
@click.argument("plan", type=PATH)
@DATA
@click.option("--out", type=PATH, required=True, help="Corpus, features, runs, bundles and table.")
@click.option("--full", is_flag=True, help="The paper's own budgets: days, or a large GPU.")
@BY
@RUNS
@JOBS
@SCHEDULER
def paper(
    plan: Path,
    data: Path,
    out: Path,
    full: bool,
    by: Unit | None,
    runs: int,
    jobs: int,
    scheduler: str,
) -> None:
    """Do the experiments of a paper, PLAN of config/papers, on recordings that you have.

    Prints what the paper reports beside what its systems give here. Interrupted, the same command
    goes on.
    """
    from train.commands.paper_table import write_paper
    from train.commands.plan import load_plan
    from train.commands.sharing import Sharing
    from train.commands.sweeps import train_sweeps
    from train.commands.systems import train_systems

    loaded = load_plan(plan, full=full, by=by)
    sharing = Sharing(jobs=jobs, scheduler=scheduler)
    train_systems(loaded, data, out=out, runs=runs, sharing=sharing, say=aside)
    sections = train_sweeps(loaded, out, sharing=sharing, say=aside)
    click.echo(write_paper(loaded, out, sections))


@click.command("published-sizes")
@click.argument("recipes", nargs=-1, type=PATH, required=True, metavar="RECIPE...")
@click.option(
    "--species",
    type=click.IntRange(2),
    default=100,
    show_default=True,
    help="How many species the last layer names.",
)
@TIMINGS
def published(recipes: tuple[Path, ...], species: int, runs: int) -> None:
    """Print what recipes cost at their own size, with weights at random.

    Parameters, multiply-adds and time for one window.
    """
    from train.commands.systems_table import published_sizes

    click.echo(published_sizes(recipes, species=species, runs=runs))
