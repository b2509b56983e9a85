"""The sweeps of a plan: a system by optimiser and learning rate, each pair trained once.

out/sweep/<recipe>/<pair>              a run without outputs; an interrupted one is resumed
out/sweep/<recipe>/<pair>/trial.json   what came of it; a pair that has one of the same plan is done
out/sweep/<recipe>/sweep.csv, .png     all pairs
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.bundle.digest import canonical_digest
from edge.bundle.strictjson import read_json
from edge.files import write_whole
from train.commands.plan import Plan, Sweep
from train.commands.sharing import Sharing, finished
from train.corpus.corpus import read_corpus
from train.learning.fit import start_task
from train.learning.members import MemberTask
from train.learning.sweep import Trial, try_pair, write_trials
from train.recipe.recipe import Recipe

__all__ = ["train_sweeps"]

TRIAL = "trial.json"


def train_sweeps(
    plan: Plan, out: Path, *, sharing: Sharing, say: Callable[[str], None]
) -> list[str]:
    """Train the pairs that are missing, as they are shared out; returns a section for each sweep.

    Raises the first failure when the pairs beside it are done.
    """
    plan, out = dataclasses.replace(plan, file=plan.file.absolute()), out.absolute()
    sharing = dataclasses.replace(sharing, sees=(plan.file, out / "corpus"))
    todo = [
        (plan, sweep, pair, out)
        for sweep in plan.sweeps
        for pair in sweep.pairs
        if _made(plan, sweep, pair, out) is None
    ]
    if plan.sweeps:
        say(f"{len(plan.sweeps)} sweep(s); pairs to train: {len(todo)}")
    for trial in finished(_train_pair, todo, sharing) if todo else ():
        say(f"{trial.name}: {trial.said}")
    return [_section(plan, sweep, out) for sweep in plan.sweeps]


def _train_pair(plan: Plan, sweep: Sweep, pair: tuple[str, float], out: Path) -> Trial:
    corpus, place = read_corpus(out / "corpus"), _place(sweep, pair, out)
    options: dict[str, Any] = {"cache": out / "features", "fold": 0, "device": "cpu", "workers": 1}

    def start(recipe: Recipe, folder: Path) -> MemberTask:
        return start_task(recipe, corpus, folder=folder, **options)

    trial = try_pair(
        plan.swept(sweep), *pair, start=start, place=place, report=lambda member, progress: None
    )
    made = {"digest": _digest(plan, sweep), **dataclasses.asdict(trial)}
    write_whole(place / TRIAL, json.dumps(made, indent=1) + "\n")
    return trial


def _made(plan: Plan, sweep: Sweep, pair: tuple[str, float], out: Path) -> Trial | None:
    """Return what came of a pair, None where it is still to be trained as the plan is now."""
    file = _place(sweep, pair, out) / TRIAL
    if not file.exists():
        return None
    made = dict(read_json(file))
    return Trial(**made) if made.pop("digest") == _digest(plan, sweep) else None


def _digest(plan: Plan, sweep: Sweep) -> str:
    return canonical_digest([plan.corpus.as_mapping(), plan.swept(sweep).digest])


def _place(sweep: Sweep, pair: tuple[str, float], out: Path) -> Path:
    return _folder(sweep, out) / f"{pair[0]}-{pair[1]:g}"


def _folder(sweep: Sweep, out: Path) -> Path:
    return out / "sweep" / sweep.of


def _section(plan: Plan, sweep: Sweep, out: Path) -> str:
    made = [_made(plan, sweep, pair, out) for pair in sweep.pairs]
    folder = _folder(sweep, out)
    table = write_trials([trial for trial in made if trial is not None], folder)
    paper = f"The paper: {sweep.reported}. " if sweep.reported else ""
    return (
        f"### {sweep.of} by optimiser and learning rate\n\n{table}\n\n{paper}"
        f"{plan.swept(sweep).steps} batches each, one run; accuracy is of one window of each "
        f"validation recording. As bars: {folder.relative_to(out) / 'sweep.png'}."
    )
