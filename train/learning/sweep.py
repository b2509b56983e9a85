"""Which optimiser and learning rate suit a recipe: train with each, and compare what validation
says (the sweep of system S3).
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import UserError
from edge.files import replacing
from train.corpus.summary import markdown_table
from train.learning.members import MemberTask, Report, train_members
from train.recipe.recipe import Recipe

__all__ = ["Trial", "sweep"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One cell: the accuracy over one window of each validation recording after the last epoch, and
    the best of any epoch.
    """

    optimiser: str
    learning_rate: float
    last: float
    best: float

    @property
    def name(self) -> str:
        """E.g. adamw 0.01."""
        return f"{self.optimiser} {self.learning_rate:g}"


def sweep(
    recipe: Recipe,
    *,
    optimisers: Sequence[str],
    rates: Sequence[float],
    folder: Path,
    start: Callable[[Recipe, Path], MemberTask],
    report: Report,
    say: Callable[[str], None],
) -> str:
    """Train every pair in a folder of its own (resuming); writes sweep.csv and sweep.png, returns
    the table, best first.

    `start` is what `train.learning.fit.start_task` does, on some corpus.
    """
    if recipe.classifier is not None:
        raise UserError(
            f"recipe {recipe.name}: a sweep compares what a network says of species, and this one "
            "only embeds"
        )
    trials = []
    for optimiser in optimisers:
        for rate in rates:
            one = dataclasses.replace(recipe, optimiser=optimiser, learning_rate=rate, members=1)  # type: ignore[arg-type]
            place = folder / f"{optimiser}-{rate:g}"
            say(f"training in {place}")
            train_members(start(one, place), report)
            trials.append(_trial(place, optimiser, rate))
    _write(trials, folder)
    rows = [
        (t.optimiser, f"{t.learning_rate:g}", f"{t.last:.3f}", f"{t.best:.3f}")
        for t in sorted(trials, key=lambda t: -t.last)
    ]
    return markdown_table(
        ("optimiser", "learning rate", "validation accuracy", "best of any epoch"), rows
    )


def _trial(run: Path, optimiser: str, rate: float) -> Trial:
    with (run / "member-0" / "history.csv").open(encoding="utf-8") as file:
        curve = [float(row.get("validation_top1") or "nan") for row in csv.DictReader(file)]
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
    """A row per optimiser and rate, as on the slides; a bar ends at the last epoch, a dot is the
    best of any.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1 + 0.3 * len(trials)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = range(len(trials))
    axes.barh(rows, [t.last for t in trials], color="#9bb8d3", label="last epoch")
    axes.plot([t.best for t in trials], rows, "o", color="#27496d", label="best epoch")
    axes.set_yticks(rows, [t.name for t in trials])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("validation accuracy")
    axes.legend(loc="best", fontsize="small")
    return figure
