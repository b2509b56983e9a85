"""The commands `edge archive` that ask a dataset again, without hearing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.archive.command import archive_command
from edge.replay.options import judging_options
from edge.terminal import aside, warn

__all__ = ["archive_command"]

DATASET = click.argument("dataset", type=click.Path(path_type=Path), metavar="DATASET")


@archive_command.command("rescore")
@DATASET
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="NEW",
    help="Folder of the new dataset: made, or gone on with.",
)
@judging_options
def rescore_command(*, dataset: Path, out: Path, **options: Any) -> None:
    """Judge DATASET again with the heads of --bundle, from what its network said."""
    from edge.archive.parquet import check_installed
    from edge.archive.rescore import Rescoring, settings_again
    from edge.replay.replayer import Replayer

    check_installed()
    replayer = Replayer(settings_again(dataset, options))
    rescoring = Rescoring(dataset, replayer)
    for note in rescoring.notes():
        aside(note)
    rescored = rescoring.run(out, complain=warn)
    aside(f"{out}: {rescored}")
    for licence in replayer.licences:
        aside(licence)
    if rescored.damaged:
        raise click.exceptions.Exit(1)
