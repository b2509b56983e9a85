"""Which optimiser and learning rate suit a recipe (the sweep of system S3).

Trains with each pair, and compares their accuracy on the validation fold.

out/sweep.csv   a line per pair
out/sweep.png   the same as bars
"""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import UserError
from edge.files import replacing
from train.corpus.summary import markdown_table
from train.learning.checkpoint import read_history
from train.learning.collapse import DivergedError
from train.learning.members import MemberTask, Report, train_members
from train.recipe.recipe import Recipe

__all__ = ["Trial", "sweep", "try_pair", "write_trials"]

DIVERGED = "diverged"
HEADER = ("optimiser", "learning rate", "validation accuracy", "best of any epoch")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The accuracy of one pair over one window of each validation recording.

    `last` after the last epoch, `best` of any epoch; None where training diverged.
    """

    optimiser: str
    learning_rate: float
    last: float | None
    best: float | None

    @property
    def name(self) -> str:
        """The pair in words, e.g. adamw 0.01."""
        return f"{self.optimiser} {self.learning_rate:g}"

    @property
    def said(self) -> str:
        """What came of it in words."""
        return DIVERGED if self.last is None else f"validation accuracy {self.last:.3f}"


def sweep(
    recipe: Recipe,
    pairs: Sequence[tuple[str, float]],
    *,
    folder: Path,
    start: Callable[[Recipe, Path], MemberTask],
    report: Report,
    say: Callable[[str], None],
) -> str:
    """Train each pair of optimiser and learning rate in a folder of its own, resuming there.

    `start` is what `train.learning.fit.start_task` does, on some corpus. Writes sweep.csv and
    sweep.png into `folder`, and returns the table, best first.
    """
    if recipe.classifier is not None:
        raise UserError(
            f"recipe {recipe.name}: a sweep compares what a network says of species, and this one "
            "only embeds"
        )
    # All are checked before the first is trained.
    recipes = [_with_pair(recipe, optimiser, rate) for optimiser, rate in pairs]
    trials = []
    for one in recipes:
        place = folder / f"{one.optimiser}-{one.learning_rate:g}"
        say(f"training in {place}")
        trials.append(_tried(one, start=start, place=place, report=report))
    return write_trials(trials, folder)


def try_pair(
    recipe: Recipe,
    optimiser: str,
    rate: float,
    *,
    start: Callable[[Recipe, Path], MemberTask],
    place: Path,
    report: Report,
) -> Trial:
    """Train one pair in the folder `place`, resuming there."""
    return _tried(_with_pair(recipe, optimiser, rate), start=start, place=place, report=report)


def _tried(
    recipe: Recipe,
    *,
    start: Callable[[Recipe, Path], MemberTask],
    place: Path,
    report: Report,
) -> Trial:
    optimiser, rate = recipe.optimiser, recipe.learning_rate
    try:
        train_members(start(recipe, place), report)
    except DivergedError:  # which is what a sweep is to find
        return Trial(optimiser=optimiser, learning_rate=rate, last=None, best=None)
    return _trial(place, optimiser, rate)


def write_trials(trials: Sequence[Trial], folder: Path) -> str:
    """Write sweep.csv and sweep.png into `folder`, and return the table, best first."""
    _write(trials, folder)
    rows = [
        (t.optimiser, f"{t.learning_rate:g}", _shown(t.last), _shown(t.best))
        for t in sorted(trials, key=lambda t: -1.0 if t.last is None else t.last, reverse=True)
    ]
    return markdown_table(HEADER, rows)


def _shown(accuracy: float | None) -> str:
    return DIVERGED if accuracy is None else f"{accuracy:.3f}"


def _with_pair(recipe: Recipe, optimiser: str, rate: float) -> Recipe:
    changes: dict[str, Any] = {"optimiser": optimiser, "learning_rate": rate, "members": 1}
    return dataclasses.replace(recipe, **changes)


def _trial(run: Path, optimiser: str, rate: float) -> Trial:
    history = read_history(run / "member-0" / "history.csv")
    curve = [row.get("validation_top1", math.nan) for row in history]
    return Trial(optimiser=optimiser, learning_rate=rate, last=curve[-1], best=max(curve))


def _write(trials: Sequence[Trial], folder: Path) -> None:
    with (
        replacing(folder / "sweep.csv") as staged,
        staged.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, [f.name for f in dataclasses.fields(Trial)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(t) for t in trials)
    figure = _draw(trials)
    with replacing(folder / "sweep.png") as staged:
        figure.savefig(staged, format="png", dpi=120)


def _draw(trials: Sequence[Trial]) -> Any:
    """Draw a bar for each pair up to its last epoch, and a dot at its best, as on S3's slides."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1 + 0.3 * len(trials)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = range(len(trials))
    axes.barh(rows, [t.last or 0.0 for t in trials], color="#9bb8d3", label="last epoch")
    best = [math.nan if t.best is None else t.best for t in trials]
    axes.plot(best, rows, "o", color="#27496d", label="best epoch")
    axes.set_yticks(rows, [t.name for t in trials])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("validation accuracy")
    axes.legend(loc="best", fontsize="small")
    return figure
