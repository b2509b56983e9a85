"""`edge-train export` and `windows`: from an evaluated run to a bundle, and what quantizes it."""

from __future__ import annotations

from pathlib import Path

import click

from train.commands.options import BUNDLE_OUT, CACHE, CORPUS, PATH, RUN, WORKERS

__all__ = ["export", "windows"]


@click.command()
@CORPUS
@click.option("--run", "folder", type=PATH, required=True, help="A run that is evaluated.")
@BUNDLE_OUT
@click.option("--name", default="", help="Name in the manifest.  [default: the recipe's]")
def export(corpus: Path, folder: Path, out: Path, name: str) -> None:
    """Write the bundle; refused when ONNX Runtime and torch differ by more than 1e-4."""
    from train.commands.build import export_run
    from train.commands.opened import opened

    run, prepared = opened(folder, corpus)
    bundle = export_run(run, prepared, path=out, name=name or run.recipe.name)
    click.echo(
        f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} species; try it: edge replay "
        f"--bundle {out} RECORDING"
    )


@click.command()
@CORPUS
@RUN
@click.option(
    "--out", type=PATH, required=True, help="The file to write, .npz; some hundred kB a window."
)
@CACHE
@click.option(
    "--calibration",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Windows of the training split, at most.",
)
@WORKERS
def windows(
    corpus: Path, folder: Path, out: Path, cache: Path, calibration: int, workers: int
) -> None:
    """Write the windows that `edge-deploy quantize` needs.

    They are some of the training split to calibrate on, and all of validation and test.
    """
    from train.commands.opened import opened
    from train.export.windows import write_windows

    counts = write_windows(
        *opened(folder, corpus), out, cache=cache, most=calibration, workers=workers
    )
    click.echo(
        f"{out}: " + ", ".join(f"{count} windows of {name}" for name, count in counts.items())
    )
