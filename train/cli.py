"""`edge-train`: parses, calls, and turns every failure a person can mend into one line and a non-zero exit."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edge.errors import UserError

__all__ = ["main"]

PATH = click.Path(path_type=Path)
WORKERS = os.cpu_count() or 1


class _OneLineErrors(click.Group):
    """Prints `error: ...` instead of a traceback for what the user can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as exc:
            click.echo(f"error: {exc}", err=True)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
                raise
            click.echo(f"error: {exc.filename or 'writing'}: {exc.strerror}", err=True)
        sys.exit(1)


@click.group(cls=_OneLineErrors)
def main() -> None:
    """Train a system on labelled recordings and export it as a bundle.

    prepare -> fit -> calibrate -> evaluate -> export, or all of them with build.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("torch").setLevel(logging.ERROR)


@main.command()
@click.argument("source", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the prepared corpus.")
@click.option("--layout", type=click.Choice(["auto", "manifest", "folders", "birdclef"]), default="auto", show_default=True)
@click.option("--test-share", type=click.FloatRange(0, 0.9), default=0.2, show_default=True, help="Share of recordings kept for the test.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of the rest; one validates, the others train.")
@click.option("--seed", type=int, default=0, show_default=True)
def prepare(source: Path, out: Path, layout: str, test_share: float, folds: int, seed: int) -> None:
    """Check every recording of SOURCE, quarantine what is unusable, and split by recordist.

    SOURCE is a manifest CSV, a folder with a manifest.csv, a folder per class, or BirdCLEF's train_metadata.csv layout.
    """
    from train.prepare import prepare as run

    click.echo(run(source, out, layout=layout, test_share=test_share, folds=folds, seed=seed))


@main.command()
@click.option("--recipe", type=PATH, required=True, help="A file of config/recipes.")
@click.option("--corpus", type=PATH, required=True, help="What `prepare` wrote.")
@click.option("--out", type=PATH, required=True, help="Run folder; an interrupted run in it is resumed.")
@click.option("--cache", type=PATH, default=Path("build/features"), show_default=True, help="Features, kept by digest of their spec.")
@click.option("--fold", type=int, default=0, show_default=True, help="The fold that validates.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=YAML", help="Replace a key of the recipe: --set steps=200")
def fit(recipe: Path, corpus: Path, out: Path, cache: Path, fold: int, device: str, workers: int, overrides: Sequence[str]) -> None:
    """Train; interrupt at any time and run the same command again to go on."""
    from train.corpus import read_corpus
    from train.fit import fit as run
    from train.recipe import load_recipe

    loaded = load_recipe(recipe, overrides=_parse_overrides(overrides))
    run(loaded, read_corpus(corpus), folder=out, cache=cache, fold=fold, device=device, workers=workers, report=_show)
    click.echo(f"{out}: trained; next: edge-train calibrate --corpus {corpus} --run {out}")


def _parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    import yaml

    pairs = [o.partition("=") for o in overrides]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("--set needs KEY=VALUE")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def _show(member: int, progress: Any) -> None:
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in progress.numbers.items() if k != "step")
    left = f"{progress.left_s / 60:.1f} min left"
    click.echo(f"member {member}  step {progress.step}/{progress.steps}  {numbers}  {left}")


if __name__ == "__main__":
    main()
