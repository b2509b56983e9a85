"""`edge-train calibrate`, `evaluate` and `compare`: how good a trained run is."""

from __future__ import annotations

from pathlib import Path

import click

from train.commands.options import CORPUS, PATH

__all__ = ["calibrate", "compare", "evaluate"]


@click.command()
@CORPUS
@click.option("--run", "folder", type=PATH, required=True, help="A finished run of `fit`.")
@click.option(
    "--acceptance",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Share of known windows to accept.",
)
def calibrate(corpus: Path, folder: Path, acceptance: float) -> None:
    """Fit every rejection rule on the validation fold and choose one.

    Writes RUN/calibration.npz.
    """
    from train.commands.build import calibrate_run
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    calibration = calibrate_run(load_run(folder), read_corpus(corpus), acceptance=acceptance)
    for row in calibration.table:
        cells = (
            f"{key} {value:.3f}" if isinstance(value, float) else str(value)
            for key, value in row.items()
        )
        click.echo("  ".join(cells))
    click.echo(f"{folder}: rule {calibration.chosen}, threshold {calibration.head.threshold:.4g}")


@click.command()
@CORPUS
@click.option("--run", "folder", type=PATH, required=True, help="A calibrated run.")
@click.option(
    "--resamples",
    type=click.IntRange(10),
    default=500,
    show_default=True,
    help="Resamples of the bootstrap over recordings.",
)
def evaluate(corpus: Path, folder: Path, resamples: int) -> None:
    """Judge a run on the test split.

    Writes report.json, report.md and plots into RUN/report.
    """
    from train.commands.build import evaluate_run
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    evaluate_run(load_run(folder), read_corpus(corpus), resamples=resamples)
    click.echo((folder / "report" / "report.md").read_text(encoding="utf-8"))


@click.command()
@click.argument("folders", nargs=-1, type=PATH, required=True, metavar="RUN...")
def compare(folders: tuple[Path, ...]) -> None:
    """Print a table of evaluated runs, one row per recipe: means and deviations on the test."""
    from train.commands.build import compare_runs

    click.echo(compare_runs(folders))
