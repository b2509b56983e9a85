"""`edge-train prepare`: from a collection of recordings to a checked and split corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from edge.terminal import FiniteRange
from train.commands.options import PATH

if TYPE_CHECKING:
    from train.corpus.readers import Layout
    from train.corpus.splits import Unit

__all__ = ["prepare"]


@click.command()
@click.argument("source", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the prepared corpus.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "manifest", "folders", "birdclef"]),
    default="auto",
    show_default=True,
    help="How SOURCE says what is in it.",
)
@click.option(
    "--test-share",
    type=FiniteRange(0, 0.9),
    default=0.2,
    show_default=True,
    help="Share of recordings kept for the test.",
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    help="Folds of the rest; one validates, the others train.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another split.")
@click.option(
    "--split-by",
    "by",
    type=click.Choice(["recordist", "recording"]),
    default="recordist",
    show_default=True,
    help="What is in one part only. By recording, as in some papers, a network also knows people "
    "and places again.",
)
@click.option(
    "--keep-types",
    is_flag=True,
    help="Keep the rarest type of song of each species for the test: a manifest's column `type`.",
)
@click.option(
    "--annotations",
    type=PATH,
    help="CSV of speech and pauses marked by hand: row_id, human_voice, nocall, t_range.",
)
def prepare(
    source: Path,
    out: Path,
    layout: str,
    test_share: float,
    folds: int,
    seed: int,
    by: str,
    **options: Any,
) -> None:
    """Check every recording of SOURCE, quarantine what is unusable, and split by recordist.

    SOURCE is a manifest CSV, a folder with a manifest.csv, a folder per class, or BirdCLEF's
    train_metadata.csv layout.
    """
    from train.corpus.prepare import prepare as run
    from train.corpus.splits import SplitPlan

    prepared = run(
        source,
        out,
        layout=cast("Layout", layout),  # checked by click
        plan=SplitPlan(test_share=test_share, folds=folds, seed=seed, by=cast("Unit", by)),
        **options,
    )
    click.echo(prepared.summary)
    marked = sum(bool(r.stretches) for r in prepared.corpus.recordings)
    click.echo(
        f"{out}: {len(prepared.corpus.recordings)} recordings, {len(prepared.quarantine)} in "
        f"quarantine.csv, {marked} annotated; next: edge-train fit --recipe RECIPE --corpus {out} "
        "--out RUN"
    )
