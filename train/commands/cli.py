"""`edge-train`: parses, calls, and turns every failure a person can mend into one line and a
non-zero exit.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import EdgeError, UserError
from edge.terminal import OneLineErrors, aside
from train.commands.steps import segment, shift
from train.commands.systems_commands import published, systems, table
from train.commands.terminal import from_scratch, parse_overrides, recipe_of, show

__all__ = ["main"]

if TYPE_CHECKING:
    from train.recipe.recipe import Recipe

PATH = click.Path(path_type=Path)
WORKERS = os.cpu_count() or 1


def _always_1(_: EdgeError) -> int:
    """Return the exit status of every error that a person can mend."""
    return 1


@click.group(cls=OneLineErrors, status_of=_always_1)
def main() -> None:
    """Train a system on labelled recordings and export it as a bundle.

    prepare -> fit -> calibrate -> evaluate -> export, or all of them with build.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("torch", "onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


for command in (segment, shift, systems, table, published):
    main.add_command(command)


@main.command()
@click.argument("source", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the prepared corpus.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "manifest", "folders", "birdclef"]),
    default="auto",
    show_default=True,
)
@click.option(
    "--test-share",
    type=click.FloatRange(0, 0.9),
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
@click.option("--seed", type=int, default=0, show_default=True)
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
    annotations: Path | None,
) -> None:
    """Check every recording of SOURCE, quarantine what is unusable, and split by recordist.

    SOURCE is a manifest CSV, a folder with a manifest.csv, a folder per class, or BirdCLEF's
    train_metadata.csv layout.
    """
    from train.corpus.prepare import prepare as run

    shares = {"test_share": test_share, "folds": folds, "seed": seed}
    prepared = run(source, out, layout=layout, annotations=annotations, **shares)  # type: ignore[arg-type]  # checked by click
    click.echo(prepared.summary)
    marked = sum(bool(r.stretches) for r in prepared.corpus.recordings)
    click.echo(
        f"{out}: {len(prepared.corpus.recordings)} recordings, {len(prepared.quarantine)} in "
        f"quarantine.csv, {marked} annotated"
    )


@main.command()
@click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
@click.option("--corpus", type=PATH, required=True, help="What `prepare` wrote.")
@click.option(
    "--out", type=PATH, required=True, help="Run folder; an interrupted run in it is resumed."
)
@click.option(
    "--cache",
    type=PATH,
    default=Path("build/features"),
    show_default=True,
    help="Features, kept by digest of their spec.",
)
@click.option("--fold", type=int, default=0, show_default=True, help="The fold that validates.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=YAML",
    help="Replace a key of the recipe: --set steps=200",
)
@from_scratch
def fit(
    recipe: Path,
    corpus: Path,
    out: Path,
    cache: Path,
    fold: int,
    device: str,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Train; interrupt at any time and run the same command again to go on."""
    from train.corpus.corpus import read_corpus
    from train.learning.fit import fit as run

    loaded = recipe_of(recipe, parse_overrides(overrides))
    run(
        loaded,
        read_corpus(corpus),
        folder=out,
        cache=cache,
        fold=fold,
        device=device,
        workers=workers,
        report=show,
    )
    click.echo(f"{out}: trained; next: edge-train calibrate --corpus {corpus} --run {out}")


@main.command()
@click.option("--corpus", type=PATH, required=True)
@click.option("--run", "folder", type=PATH, required=True, help="A finished run of `fit`.")
@click.option(
    "--acceptance",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Share of known windows to accept.",
)
def calibrate(corpus: Path, folder: Path, acceptance: float) -> None:
    """Fit every rejection rule on the validation fold and choose one; writes
    RUN/calibration.npz.
    """
    from train.commands.build import calibrate_run
    from train.corpus.corpus import read_corpus
    from train.learning.fit import load_run

    calibration = calibrate_run(load_run(folder), read_corpus(corpus), acceptance=acceptance)
    for row in calibration.table:
        click.echo(
            "  ".join(
                f"{key} {value:.3f}" if isinstance(value, float) else str(value)
                for key, value in row.items()
            )
        )
    click.echo(f"{folder}: rule {calibration.chosen}, threshold {calibration.head.threshold:.4g}")


@main.command()
@click.option("--corpus", type=PATH, required=True)
@click.option("--run", "folder", type=PATH, required=True, help="A calibrated run.")
@click.option(
    "--resamples",
    type=click.IntRange(10),
    default=500,
    show_default=True,
    help="Of the bootstrap over recordings.",
)
def evaluate(corpus: Path, folder: Path, resamples: int) -> None:
    """Judge a run on the test split; writes report.json, report.md and plots into RUN/report."""
    from train.commands.build import evaluate_run
    from train.corpus.corpus import read_corpus
    from train.learning.fit import load_run

    evaluate_run(load_run(folder), read_corpus(corpus), resamples=resamples)
    click.echo((folder / "report" / "report.md").read_text(encoding="utf-8"))


@main.command()
@click.option("--corpus", type=PATH, required=True)
@click.option("--run", "folder", type=PATH, required=True, help="An evaluated run.")
@click.option("--out", type=PATH, required=True, help="The bundle directory; replaced whole.")
@click.option("--name", default="", help="Name in the manifest [the recipe's].")
def export(corpus: Path, folder: Path, out: Path, name: str) -> None:
    """Write the bundle; refused when ONNX Runtime and torch differ by more than 1e-4."""
    from train.commands.build import export_run
    from train.corpus.corpus import read_corpus
    from train.learning.fit import load_run

    run = load_run(folder)
    bundle = export_run(run, read_corpus(corpus), path=out, name=name or run.recipe.name)
    click.echo(f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} species")


@main.command()
@click.option("--corpus", type=PATH, required=True)
@click.option("--run", "folder", type=PATH, required=True, help="A finished run.")
@click.option(
    "--out", type=PATH, required=True, help="The file to write, .npz; some hundred kB a window."
)
@click.option(
    "--cache", type=PATH, default=Path("build/features"), show_default=True, help="As of `fit`."
)
@click.option(
    "--calibration",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Windows of the training split, at most.",
)
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
def windows(
    corpus: Path, folder: Path, out: Path, cache: Path, calibration: int, workers: int
) -> None:
    """Write the windows that `edge-deploy quantize` needs: some to calibrate on, and the validation
    and test splits.
    """
    from train.corpus.corpus import read_corpus
    from train.export.windows import write_windows
    from train.learning.fit import load_run

    counts = write_windows(
        load_run(folder), read_corpus(corpus), out, cache=cache, most=calibration, workers=workers
    )
    click.echo(
        f"{out}: " + ", ".join(f"{count} windows of {name}" for name, count in counts.items())
    )


@main.command()
@click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
@click.option("--data", type=PATH, required=True, help="Manifest CSV or folder of recordings.")
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
    help="Each validates in a run.",
)
@click.option(
    "--f1",
    type=click.FloatRange(0, 1),
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
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=YAML",
    help="Replace a key of the recipe: --set steps=1200",
)
@from_scratch
def species(
    recipe: Path,
    data: Path,
    work: Path,
    folds: tuple[int, ...],
    f1: float,
    at_least: int,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Learn all species, and name those that validation shows can be told apart, as the `species`
    section of a recipe.
    """
    import yaml

    from train.commands.build import choose_species
    from train.judging.select import select_species

    loaded = recipe_of(recipe, {"species": [], "withheld": [], **parse_overrides(overrides)})
    scores = choose_species(
        loaded, data, folds=folds, work=work, device="auto", workers=workers, report=show, say=aside
    )
    for s in sorted(scores, key=lambda s: -s.f1):
        aside(
            f"# {s.label}: F1 {s.f1:.2f}, precision {s.precision:.2f}, recall {s.recall:.2f}, "
            f"{s.recordings} recordings"
        )
    click.echo(yaml.safe_dump({"species": list(select_species(scores, at_least=at_least, f1=f1))}))


@main.command()
@click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
@click.option("--corpus", type=PATH, required=True, help="What `prepare` wrote.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder of the runs, sweep.csv and sweep.png; interrupted runs are resumed.",
)
@click.option("--cache", type=PATH, default=Path("build/features"), show_default=True)
@click.option(
    "--optimiser",
    "optimisers",
    multiple=True,
    default=("adam", "adamw", "rmsprop", "sgd"),
    show_default=True,
)
@click.option(
    "--rate",
    "rates",
    type=float,
    multiple=True,
    default=(0.1, 0.01, 0.001),
    show_default=True,
    help="Learning rates.",
)
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=YAML",
    help="Replace a key of the recipe: --set steps=200",
)
@from_scratch
def sweep(
    recipe: Path,
    corpus: Path,
    out: Path,
    cache: Path,
    optimisers: tuple[str, ...],
    rates: tuple[float, ...],
    workers: int,
    overrides: Sequence[str],
) -> None:
    """Train a recipe with each optimiser and learning rate, and draw what validation says: rows are
    pairs, bars accuracy.
    """
    from train.corpus.corpus import read_corpus
    from train.learning.fit import start_task
    from train.learning.members import MemberTask
    from train.learning.sweep import sweep as run
    from train.recipe.recipe import OPTIMISERS

    unknown = [name for name in optimisers if name not in OPTIMISERS]
    if unknown:
        raise UserError(f"--optimiser: '{unknown[0]}' is none of {', '.join(OPTIMISERS)}")
    loaded, prepared = recipe_of(recipe, parse_overrides(overrides)), read_corpus(corpus)

    def start(one: Recipe, folder: Path) -> MemberTask:
        return start_task(
            one, prepared, folder=folder, cache=cache, fold=0, device="auto", workers=workers
        )

    click.echo(
        run(
            loaded,
            optimisers=optimisers,
            rates=rates,
            folder=out,
            start=start,
            report=show,
            say=aside,
        )
    )


@main.command("compare")
@click.argument("folders", nargs=-1, type=PATH, required=True, metavar="RUN...")
def compare_(folders: tuple[Path, ...]) -> None:
    """A table of evaluated runs, one row per recipe: means and deviations on the test split."""
    from train.commands.build import compare_runs

    click.echo(compare_runs(folders))


@main.command()
@click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
@click.option("--data", type=PATH, required=True, help="Manifest CSV or folder of recordings.")
@click.option("--out", type=PATH, required=True, help="The bundle directory; replaced whole.")
@click.option(
    "--work",
    type=PATH,
    default=None,
    help="Where corpus, run and features go [build/NAME of the recipe].",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=YAML",
    help="Replace a key of the recipe: --set steps=200",
)
@from_scratch
def build(
    recipe: Path,
    data: Path,
    out: Path,
    work: Path | None,
    device: str,
    workers: int,
    overrides: Sequence[str],
) -> None:
    """All of it: prepare, fit, calibrate, evaluate, export. Interrupted, the same command goes on
    where it stopped.
    """
    from train.commands.build import build_bundle

    loaded = recipe_of(recipe, parse_overrides(overrides))
    folder = work or Path("build") / loaded.name
    bundle = build_bundle(
        loaded, data, out=out, work=folder, device=device, workers=workers, report=show, say=aside
    )
    click.echo((folder / "run" / "report" / "report.md").read_text(encoding="utf-8"))
    click.echo(f"{out}: bundle {bundle.digest[:12]}, {len(bundle.labels)} species")


if __name__ == "__main__":
    main()
