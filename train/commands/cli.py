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
from train.commands.judging_commands import average, compare, evaluate, lists, rows
from train.commands.recipes_commands import recipes
from train.commands.stage_commands import segment, shift
from train.commands.systems_commands import paper, published, systems, table
from train.commands.training_commands import fit, folds, sweep

__all__ = ["main"]

# As the help has them: what most people want first, and steps in the order in which they are taken.
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "All in one": (build, adapt),
    "Step by step": (prepare, fit, calibrate, evaluate, export),
    "For a recorder": (thresholds, windows),
    "More on runs": (compare, average, rows, lists),
    "More ways to train": (segment, shift, folds, sweep, species),
    "The papers": (recipes, paper, systems, table, published),
}


def _always_1(_: EdgeError) -> int:
    """Return the exit status of every error that a person can mend."""
    return 1


class _InSections(OneLineErrors):
    """Lists its commands in sections, each with the whole first sentence of what it does."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(str(one.name), one.get_short_help_str(limit=1000)) for one in commands],
                    col_max=18,
                )


@click.group(cls=_InSections, status_of=_always_1)
def main() -> None:
    """Train a system on labelled recordings and export it as a bundle.

    `build` makes a model of a folder of recordings, `adapt` a head on a network that is there
    already. docs/training.md shows both.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("torch", "onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


for commands in SECTIONS.values():
    for command in commands:
        main.add_command(command)


if __name__ == "__main__":
    main()
