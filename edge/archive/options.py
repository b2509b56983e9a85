"""Arguments and options that several commands of `edge archive` share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["BUNDLE", "DATASET", "SINCE", "SPECIES"]

DATASET = click.argument("dataset", type=click.Path(path_type=Path), metavar="DATASET")
BUNDLE = click.option(
    "--bundle",
    metavar="DIGEST",
    help="Bundle whose detections are meant, by how its digest begins, where several have heard "
    "DATASET.",
)
SPECIES = click.option(
    "--species",
    metavar="NAME",
    multiple=True,
    help="Only this species, by its label or a name; may be given more than once.",
)
SINCE = click.option(
    "--since", metavar="DATE", help="Only from this day or RFC 3339 time on, in UTC."
)
