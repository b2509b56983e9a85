"""The commands `edge archive` that ask a dataset again, without hearing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.archive.command import archive_command
from edge.archive.options import BUNDLE, DATASET, SINCE, SPECIES
from edge.replay.options import judging_options
from edge.terminal import FiniteRange, aside, printable, warn

__all__ = ["archive_command"]

HIT_FORMATS = ("table", "csv", "raven", "clips", "examples")
MOST_HITS = 100_000


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


@archive_command.command("activity")
@DATASET
@click.option(
    "--plot",
    metavar="PICTURE",
    help="Draw it instead, as a calendar of hours: a .png, .jpg, .svg or .pdf.",
)
@BUNDLE
@SPECIES
@SINCE
def activity_command(
    *,
    dataset: Path,
    plot: str | None,
    bundle: str | None,
    species: tuple[str, ...],
    since: str | None,
) -> None:
    """Show which species was heard when, for each hour that was heard."""
    from edge.archive.activity import activity_of
    from edge.archive.activity_table import activity_lines
    from edge.archive.export import chosen_labels, parse_since
    from edge.archive.manifest import chosen_bundle
    from edge.archive.origin import read_origin
    from edge.archive.parquet import check_installed

    check_installed()
    chosen = chosen_bundle(dataset, bundle)
    made_by = read_origin(dataset, key="DATASET", bundle=chosen)
    activity = activity_of(
        dataset,
        labels=chosen_labels(species, made_by),
        since=None if since is None else parse_since(since),
        bundle=chosen,
    )
    if plot is None:
        for line in activity_lines(activity, name=made_by.common_name):
            click.echo(printable(line))
        return
    from edge.archive.activity_plot import draw_activity

    draw_activity(activity, path=plot, name=made_by.common_name)
    if activity.undated_s:
        warn(f"not in it: {activity.undated_s / 3600:.2f} h, in hours that no clock tells")


@archive_command.command("search")
@DATASET
@click.argument("clip", required=False, metavar="[CLIP]")
@click.option("--like", metavar="ID", help="Search for what sounds like this detection.")
@click.option(
    "--at", "at_s", type=FiniteRange(min=0), help="Second of CLIP at which its window begins."
)
@click.option(
    "--top",
    type=click.IntRange(1, MOST_HITS),
    default=100,
    show_default=True,
    help="How many windows.",
)
@click.option(
    "--bundle",
    metavar="BUNDLE",
    help="Bundle that DATASET was heard with, for CLIP.  [default: the one that comes with edge]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(HIT_FORMATS),
    default="table",
    show_default=True,
    help="Form of the output: clips are WAV files, examples such that `edge-train adapt --add` "
    "learns a species from.",
)
@click.option("--out", metavar="PATH", help="File or, of clips and examples, folder to write.")
def search_command(**options: Any) -> None:
    """Find windows of DATASET that sound like CLIP, or like a detection, by their embeddings."""
    from edge.archive.parquet import check_installed
    from edge.archive.searching import search

    check_installed()
    if search(**options):
        raise click.exceptions.Exit(1)


@archive_command.command("compare")
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--examples",
    type=click.IntRange(0, 20),
    default=2,
    show_default=True,
    help="So many of each species and kind of change.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "csv")),
    default="table",
    show_default=True,
    help="Form of the output; CSV has no examples.",
)
@click.option("--out", metavar="FILE", help="File to write instead of standard output.")
@click.option(
    "--bundle-a",
    metavar="DIGEST",
    help="Bundle whose detections in A are meant, where several have heard it.",
)
@click.option("--bundle-b", metavar="DIGEST", help="The same of B.")
def compare_command(
    *,
    first: Path,
    second: Path,
    bundle_a: str | None,
    bundle_b: str | None,
    examples: int,
    form: str,
    out: str | None,
) -> None:
    """Show what differs in B from A, two datasets of the same recordings: per species and month."""
    from edge.archive.compare import compare
    from edge.archive.compare_lines import comparison_lines, write_comparison_csv
    from edge.archive.manifest import chosen_bundle
    from edge.archive.parquet import check_installed
    from edge.replay.output import text_output

    check_installed()
    bundles = (
        chosen_bundle(first, bundle_a, key="A", option="--bundle-a"),
        chosen_bundle(second, bundle_b, key="B", option="--bundle-b"),
    )
    comparison = compare(first, second, bundles=bundles)
    with text_output(out) as stream:
        if form == "csv":
            write_comparison_csv(stream, comparison)
        else:
            lines = comparison_lines(comparison, examples=examples)
            stream.writelines(f"{printable(line)}\n" for line in lines)
