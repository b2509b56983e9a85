"""`edge-train build` and `species`: the commands of training in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edge.terminal import FiniteRange, aside
from train.commands.options import (
    BUNDLE_OUT,
    COLLECTIONS,
    DEVICE,
    PATH,
    RECIPE,
    REPLACE,
    STARTING_WEIGHTS,
    WORKERS,
    recipe_of,
)
from train.commands.progress import show

__all__ = ["build", "species"]


@click.command()
@RECIPE
@COLLECTIONS
@BUNDLE_OUT
@click.option(
    "--work",
    type=PATH,
    default=None,
    help="Where corpus, run and features go.  [default: build/NAME of the recipe]",
)
@DEVICE
@WORKERS
@REPLACE
@STARTING_WEIGHTS
def build(
    recipe: Path,
    data: tuple[Path, ...],
    out: Path,
    work: Path | None,
    device: str,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Make a bundle of recordings: prepare, fit, calibrate, evaluate and export.

    Interrupted, the same command goes on where it stopped.
    """
    from train.commands.build import build_bundle

    loaded = recipe_of(recipe, overrides)
    folder = work or Path("build") / loaded.name
    bundle = build_bundle(
        loaded, data, out=out, work=folder, device=device, workers=workers, report=show, say=aside
    )
    report = folder / "run" / "report"
    click.echo((report / "report.md").read_text(encoding="utf-8"))
    click.echo(
        f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} species, its report in {report}"
        f"; try it: edge replay --bundle {out} RECORDING"
    )


@click.command()
@RECIPE
@COLLECTIONS
@click.option(
    "--work",
    type=PATH,
    default=Path("build/species"),
    show_default=True,
    help="Where corpus, runs and features go.",
)
@click.option(
    "--folds",
    default=(0, 1),
    multiple=True,
    type=click.IntRange(0),
    show_default=True,
    help="Each validates in a run of its own; given again for each.",
)
@click.option(
    "--f1",
    type=FiniteRange(0, 1),
    default=0.4,
    show_default=True,
    help="Keep species that reach this.",
)
@click.option(
    "--at-least",
    type=click.IntRange(2),
    default=25,
    show_default=True,
    help="Keep this many of the best in any case.",
)
@WORKERS
@REPLACE
@STARTING_WEIGHTS
def species(
    recipe: Path,
    data: tuple[Path, ...],
    work: Path,
    folds: tuple[int, ...],
    f1: float,
    at_least: int,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Learn all species, and name those that validation can tell from the others.

    Prints them as the `species` section of a recipe.
    """
    import yaml

    from train.commands.build import choose_species
    from train.judging.select import select_species

    loaded = recipe_of(recipe, overrides, emptied=("species", "withheld"))
    scores = choose_species(
        loaded, data, folds=folds, work=work, device="auto", workers=workers, report=show, say=aside
    )
    for s in sorted(scores, key=lambda s: -s.f1):
        aside(
            f"# {s.label}: F1 {s.f1:.2f}, precision {s.precision:.2f}, recall {s.recall:.2f}, "
            f"{s.recordings} recordings"
        )
    click.echo(yaml.safe_dump({"species": list(select_species(scores, at_least=at_least, f1=f1))}))
