"""The commands `edge archive`: what a person gives and sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.archive.options import BUNDLE, DATASET, SINCE, SPECIES
from edge.archive.schema import PRECISIONS
from edge.replay.options import export_options, model_options
from edge.terminal import FiniteRange, aside, printable, warn

if TYPE_CHECKING:
    from edge.archive.keeping import Keeps
    from edge.replay.settings import ReplaySettings

__all__ = ["archive_command"]

EXPORTED = ("csv", "raven", "audacity", "kaleidoscope", "jsonl")


@click.group("archive")
def archive_command() -> None:
    """Hear years of recordings into a dataset of Parquet files, and look at it."""


@archive_command.command("hear")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DATASET",
    help="Folder of the dataset: made, or gone on with.",
)
@click.option(
    "--site",
    metavar="NAME",
    help="Site of all these recordings.  [default: the name of each one's folder]",
)
@click.option(
    "--windows", is_flag=True, help="Keep best labels, scores and novelty of every window, too."
)
@click.option(
    "--embeddings",
    type=click.Choice(PRECISIONS),
    help="Keep what the network says of every window, for judging again and for search.",
)
@click.option(
    "--fp32", is_flag=True, help="Run the network in fp32, on which heads stand, where faster is."
)
@click.option(
    "--task",
    "task_s",
    type=FiniteRange(min=1.0),
    default=3600.0,
    show_default=True,
    help="Seconds of a long recording that are heard at a time.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Hear with the workers of this Dask scheduler, e.g. tcp://host:8786, not with --workers.",
)
@click.option("--again", is_flag=True, help="Try again what is in quarantine, too.")
@click.option(
    "--mix", is_flag=True, help="Hear into a dataset of another bundle, whose detections stay."
)
@model_options
def hear_command(
    *,
    inputs: tuple[str, ...],
    out: Path,
    workers: int,
    scheduler: str | None,
    mix: bool,
    **options: Any,
) -> None:
    """Hear what is not in DATASET yet, has changed or failed.

    INPUT is a file, a folder, a pattern such as 'cards/**/*.wav', or one of these in an object
    store: s3://bucket/season.
    """
    from edge.archive.hear import ArchiveJob
    from edge.archive.inputs import find_inputs
    from edge.archive.parquet import check_installed
    from edge.replay.replayer import Replayer

    check_installed()
    given = find_inputs(inputs)
    chosen = {name: options.pop(name) for name in ("site", "again", "task_s")}
    keeps = _keeps(options)
    replayer = Replayer(_settings(options, keeps))
    for note in given.found.notes():
        warn(note)
    job = ArchiveJob(replayer, out, remote=given.remote, keeps=keeps, **chosen)
    summary = job.run(given.found.recordings, workers=workers, scheduler=scheduler, mix=mix)
    aside(f"{out}: {summary}")
    for licence in replayer.licences:
        aside(licence)
    if not summary.whole:
        raise click.exceptions.Exit(1)


def _keeps(options: dict[str, Any]) -> Keeps:
    from edge.archive.keeping import Keeps

    return Keeps(**{name: options.pop(name) for name in ("windows", "embeddings")})


def _settings(options: dict[str, Any], keeps: Keeps) -> ReplaySettings:
    from edge.bundle import FP32
    from edge.replay.given_settings import settings_of

    variant = FP32 if options.pop("fp32") else None
    return replace(settings_of(options), spool=keeps.windows, variant=variant)


@archive_command.command("status")
@DATASET
@BUNDLE
def status_command(dataset: Path, bundle: str | None) -> None:
    """Say what is in a dataset, also while it is being filled."""
    from edge.archive.parquet import check_installed
    from edge.archive.status import status_lines

    check_installed()
    for line in status_lines(dataset, bundle=bundle):
        click.echo(printable(line))


@archive_command.command("export")
@DATASET
@click.option(
    "--format",
    "form",
    type=click.Choice(EXPORTED),
    default="csv",
    show_default=True,
    help="Form of the output, as `edge replay` has it.",
)
@BUNDLE
@SPECIES
@SINCE
@click.option(
    "--precision",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    help="Leave out named detections below the score that keeps this precision.",
)
@export_options
def export_command(*, dataset: Path, since: str | None, **options: Any) -> None:
    """Write the detections of DATASET for other programs: all, or those that are wanted."""
    from edge.archive.export import Export, ExportChoice, parse_since
    from edge.archive.parquet import check_installed

    check_installed()
    choice = ExportChoice(since=None if since is None else parse_since(since), **options)
    Export(dataset, choice).write()
