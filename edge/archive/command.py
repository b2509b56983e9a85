"""The commands `edge archive`: what a person gives and sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edge.archive.schema import PRECISIONS, Precision
from edge.errors import ConfigError
from edge.replay.options import export_options, model_options
from edge.terminal import aside, printable, warn

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
    help="Keep what the network says of every window, for `rescore` and `search`.",
)
@click.option(
    "--fp32", is_flag=True, help="Run the network in fp32, on which heads stand, where faster is."
)
@click.option("--again", is_flag=True, help="Try again what is in quarantine, too.")
@model_options
def hear_command(
    *,
    inputs: tuple[str, ...],
    out: Path,
    site: str | None,
    again: bool,
    windows: bool,
    embeddings: Precision | None,
    fp32: bool,
    workers: int,
    **options: Any,
) -> None:
    """Hear what is not in DATASET yet, has changed or failed: files, or folders of them."""
    from edge.archive.hear import ArchiveJob
    from edge.archive.keeping import Keeps
    from edge.archive.parquet import check_installed
    from edge.bundle import FP32
    from edge.replay.given_settings import settings_of
    from edge.replay.recordings import STANDARD_INPUT, find_recordings
    from edge.replay.replayer import Replayer

    check_installed()
    if STANDARD_INPUT in inputs:
        reason = "is a pipe, which cannot be heard again: give files or folders"
        raise ConfigError(reason, key="INPUT", value=STANDARD_INPUT)
    settings = replace(settings_of(options), spool=windows, variant=FP32 if fp32 else None)
    replayer = Replayer(settings)
    found = find_recordings(inputs)
    for note in found.notes():
        warn(note)
    keeps = Keeps(windows=windows, embeddings=embeddings)
    job = ArchiveJob(replayer, out, site=site, again=again, keeps=keeps)
    summary = job.run(found.recordings, workers=workers)
    aside(f"{out}: {summary}")
    for licence in replayer.licences:
        aside(licence)
    if not summary.whole:
        raise click.exceptions.Exit(1)


@archive_command.command("status")
@click.argument("dataset", type=click.Path(path_type=Path), metavar="DATASET")
def status_command(dataset: Path) -> None:
    """Say what is in a dataset, also while it is being filled."""
    from edge.archive.parquet import check_installed
    from edge.archive.status import status_lines

    check_installed()
    for line in status_lines(dataset):
        click.echo(printable(line))


@archive_command.command("export")
@click.argument("dataset", type=click.Path(path_type=Path), metavar="DATASET")
@click.option(
    "--format",
    "form",
    type=click.Choice(EXPORTED),
    default="csv",
    show_default=True,
    help="Form of the output, as `edge replay` has it.",
)
@click.option(
    "--species",
    metavar="NAME",
    multiple=True,
    help="Only this species, by its label or a name; may be given more than once.",
)
@click.option("--since", metavar="DATE", help="Only from this day or RFC 3339 time on, in UTC.")
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Leave out named detections below the score that keeps this precision.",
)
@export_options
def export_command(*, dataset: Path, since: str | None, **options: Any) -> None:
    """Write the detections of DATASET for other programs: all, or those that are wanted."""
    from edge.archive.dataset import check_version
    from edge.archive.export import Export, ExportChoice, parse_since
    from edge.archive.parquet import check_installed

    check_installed()
    check_version(dataset, key="DATASET")
    choice = ExportChoice(since=None if since is None else parse_since(since), **options)
    Export(dataset, choice).write()
