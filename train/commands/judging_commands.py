"""`edge-train calibrate`, `evaluate` and `compare`: how good a trained run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.errors import UserError
from train.commands.options import CORPUS, PATH, WORKERS
from train.commands.progress import watched

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
    if calibration.animal is not None:
        click.echo(f"an animal stands out from {calibration.animal.threshold:g} on")


@click.command()
@click.option("--corpus", type=PATH, help="What `prepare` wrote; with --run.")
@click.option("--run", "folder", type=PATH, help="A calibrated run.")
@click.option("--bundle", help="Any bundle, its folder or name, on all recordings of --data.")
@click.option("--data", type=PATH, help="Manifest CSV or folder of recordings; with --bundle.")
@click.option(
    "--species",
    metavar="FILE|data",
    help="YAML list of the species that the bundle may answer, or data: the known ones of the "
    "recordings.  [default: every label]",
)
@click.option("--out", type=PATH, help="Folder for the report of a bundle, for programs too.")
@click.option(
    "--hop-s",
    type=click.FloatRange(0.1, 60),
    default=2.5,
    show_default=True,
    help="Seconds from one window of a bundle to the next.",
)
@WORKERS
@click.option(
    "--resamples",
    type=click.IntRange(10),
    default=500,
    show_default=True,
    help="Resamples of the bootstrap over recordings.",
)
def evaluate(
    corpus: Path | None,
    folder: Path | None,
    bundle: str | None,
    data: Path | None,
    resamples: int,
    **options: Any,
) -> None:
    """Judge a run on the test split, or any bundle on any labelled recordings.

    Of a run it writes report.json, report.md and plots into RUN/report.
    """
    if corpus and folder and not (bundle or data):
        _evaluate_run(corpus, folder, resamples)
    elif bundle and data and not (corpus or folder):
        _evaluate_bundle(bundle, data, resamples=resamples, **options)
    else:
        raise UserError("evaluate needs --run with --corpus, or --bundle with --data")


def _evaluate_run(corpus: Path, folder: Path, resamples: int) -> None:
    from train.commands.build import evaluate_run
    from train.corpus.corpus import read_corpus
    from train.learning.run import load_run

    evaluate_run(load_run(folder), read_corpus(corpus), resamples=resamples)
    click.echo((folder / "report" / "report.md").read_text(encoding="utf-8"))


def _evaluate_bundle(bundle: str, data: Path, *, out: Path | None, **options: Any) -> None:
    from edge.bundle.places import named_bundle
    from train.judging.any_bundle import evaluate_bundle
    from train.judging.bundle_report import render_bundle_report
    from train.judging.report import write_report

    report = evaluate_bundle(named_bundle(bundle), data, watch=watched, **options)
    text = render_bundle_report(report)
    if out is not None:
        write_report(report, text, out)
    click.echo(text)


@click.command()
@click.argument("folders", nargs=-1, type=PATH, required=True, metavar="RUN...")
def compare(folders: tuple[Path, ...]) -> None:
    """Print a table of evaluated runs, one row per recipe: means and deviations on the test."""
    from train.commands.build import compare_runs

    click.echo(compare_runs(folders))
