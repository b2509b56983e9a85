"""`edge-train`: parses, calls, and ends what a person can mend with one line and status 1."""

from __future__ import annotations

import logging

import click

from edge.errors import EdgeError
from edge.terminal import OneLineErrors
from train.commands.adapting_commands import adapt
from train.commands.build_commands import build, species
from train.commands.calibrating_commands import calibrate, thresholds
from train.commands.corpus_commands import prepare
from train.commands.export_commands import export, windows
from train.commands.judging_commands import compare, evaluate
from train.commands.papers_commands import average, folds, lists, rows
from train.commands.recipes_commands import recipes
from train.commands.stage_commands import segment, shift
from train.commands.systems_commands import paper, published, systems, table
from train.commands.training_commands import fit, sweep

__all__ = ["main"]


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


for command in (
    *(adapt, prepare, fit, folds, segment, shift, sweep),
    *(calibrate, thresholds, evaluate, average, compare, rows, lists, export, windows),
    *(build, species, recipes, systems, table, paper, published),
):
    main.add_command(command)


if __name__ == "__main__":
    main()
