"""`edge-train evaluate`, `compare`, `average`, `rows` and `lists`: how good a trained run is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import UserError, shown
from edge.terminal import FiniteRange, aside, warn
from train.commands.options import CACHE, CALIBRATED_RUN, CORPUS, PATH, WORKERS
from train.commands.progress import watched

if TYPE_CHECKING:
    from train.judging.submission import Weights

__all__ = ["average", "compare", "evaluate", "lists", "rows"]


@click.command()
@click.option("--corpus", type=PATH, help="What `prepare` wrote; with --run.")
@click.option("--run", "folder", type=PATH, help="A calibrated run.")
@click.option("--bundle", help="Any bundle, its folder or name, on all recordings of --data.")
@click.option(
    "--data",
    type=PATH,
    help="Manifest CSV or folder of recordings; with --bundle. With --soundscapes, the folder in "
    "which these lie.",
)
@click.option(
    "--soundscapes",
    type=PATH,
    help="Table of what calls when in whole recordings, or a folder of such: rows with row_id and "
    "birds, or Raven's selections; with --bundle.",
)
@click.option(
    "--regions",
    type=PATH,
    help="YAML lists of the species of each site; with --soundscapes.",
)
@click.option(
    "--species",
    metavar="FILE|data",
    help="YAML list of the species that the bundle may answer, or data: the known ones of the "
    "recordings.  [default: every label]",
)
@click.option("--out", type=PATH, help="Folder for the report of a bundle, for programs too.")
@click.option(
    "--hop-s",
    type=FiniteRange(0.1, 60),
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
    soundscapes: Path | None,
    regions: Path | None,
    resamples: int,
    **options: Any,
) -> None:
    """Judge a run on the test split, or any bundle on labelled recordings or on soundscapes.

    Of a run it writes report.json, report.md and plots into RUN/report.
    """
    if corpus and folder and not (bundle or data or soundscapes or regions):
        _evaluate_run(corpus, folder, resamples)
    elif bundle and soundscapes and not (corpus or folder):
        options |= {"recordings": data, "regions": regions, "resamples": resamples}
        _evaluate_soundscapes(bundle, soundscapes, **options)
    elif bundle and data and not (corpus or folder or regions):
        _evaluate_bundle(bundle, data, resamples=resamples, **options)
    else:
        raise UserError(
            "evaluate needs --run with --corpus, or --bundle with --data or --soundscapes, of "
            "which --regions is"
        )


def _evaluate_run(corpus: Path, folder: Path, resamples: int) -> None:
    from train.commands.build import evaluate_run
    from train.commands.opened import opened

    evaluate_run(*opened(folder, corpus), resamples=resamples)
    report = folder / "report"
    click.echo((report / "report.md").read_text(encoding="utf-8"))
    following = f"edge-train export --corpus {corpus} --run {folder} --out BUNDLE"
    aside(f"{report}: report.md, report.json and plots; next: {following}")


def _evaluate_bundle(bundle: str, data: Path, *, out: Path | None, **options: Any) -> None:
    from edge.bundle.places import named_bundle
    from train.judging.any_bundle import evaluate_bundle
    from train.judging.bundle_report import render_bundle_report
    from train.judging.probability_report import draw_reliability
    from train.judging.report import write_report

    report = evaluate_bundle(named_bundle(bundle), data, watch=watched, **options)
    text = render_bundle_report(report)
    if out is not None:
        write_report(report, text, out)
        if "probability" in report:
            draw_reliability(report["probability"], out)
    click.echo(text)


def _evaluate_soundscapes(
    bundle: str,
    truth: Path,
    *,
    recordings: Path | None,
    out: Path | None,
    species: str | None,
    hop_s: float,
    **options: Any,
) -> None:
    from click.core import ParameterSource

    from edge.bundle.places import named_bundle
    from train.corpus.soundscapes import read_soundscapes
    from train.judging.collection import DATA
    from train.judging.report import write_report
    from train.judging.soundscape_evaluation import evaluate_soundscapes
    from train.judging.soundscape_report import render_soundscape_report

    given = click.get_current_context().get_parameter_source("hop_s")
    if species == DATA:
        raise UserError("--species data: soundscapes have no list; give a file with one")
    report = evaluate_soundscapes(
        named_bundle(bundle),
        read_soundscapes(truth, recordings),
        species=None if species is None else Path(species),
        # Events are those of the recorder's own hop, unless a person asks for another.
        hop_s=hop_s if given is ParameterSource.COMMANDLINE else None,
        watch=watched,
        **options,
    )
    for name, place in report["missing"].items():
        warn(f"{place}: the bundle cannot answer {shown(name)}; it counts as not found")
    text = render_soundscape_report(report)
    if out is not None:
        write_report(report, text, out)
    click.echo(text)


@click.command()
@click.argument("folders", nargs=-1, type=PATH, required=True, metavar="RUN...")
def compare(folders: tuple[Path, ...]) -> None:
    """Print a table of evaluated runs, one row per recipe: means and deviations on the test."""
    from train.commands.build import compare_runs

    click.echo(compare_runs(folders))


@click.command()
@CORPUS
@click.option(
    "--run",
    "folders",
    type=PATH,
    multiple=True,
    required=True,
    help="A run that is calibrated; given again for each.",
)
@click.option("--out", type=PATH, required=True, help="Folder of average.json.")
def average(corpus: Path, folders: tuple[Path, ...], out: Path) -> None:
    """Judge the test with several runs together, each with the weight of its recipe."""
    from train.commands.folds import average_runs
    from train.commands.opened import opened

    runs, corpora = zip(*(opened(folder, corpus) for folder in folders), strict=True)
    click.echo(average_runs(runs, corpora[0], out=out))


@click.command()
@CORPUS
@CALIBRATED_RUN
@CACHE
@WORKERS
def rows(corpus: Path, folder: Path, cache: Path, workers: int) -> None:
    """Compare rows of 5 s that are heard alone with the same ones in their whole recordings.

    For the segmentation network, which hears audio of any length.
    """
    from train.commands.opened import opened
    from train.commands.rows import compare_rows

    click.echo(compare_rows(*opened(folder, corpus), cache=cache, workers=workers))


@click.command()
@CORPUS
@CALIBRATED_RUN
@click.option("--region", type=PATH, default=None, help="YAML list of the species that live there.")
@click.option(
    "--weights",
    type=click.Choice(["descending", "equal"]),
    default="descending",
    show_default=True,
    help="Of the ten species in the file that is written.",
)
@click.option("--out", type=PATH, required=True, help="The file of lists, .csv.")
def lists(corpus: Path, folder: Path, region: Path | None, weights: Weights, out: Path) -> None:
    """Write the ten likeliest species of each chunk of 5 s of the test, as for BirdCLEF 2020.

    Prints c-mAP and r-mAP with both kinds of weights (system S2).
    """
    from train.commands.lists import write_submission
    from train.commands.opened import opened

    run, prepared = opened(folder, corpus)
    click.echo(write_submission(run, prepared, region=region, weights=weights, out=out))
