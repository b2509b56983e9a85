"""Every system of the papers by one command: trained, judged and exported alike.

out/all, out/corpus             the recordings (`train.commands.part`)
out/<recipe>-<seed>/run         what `edge-train fit` leaves; an interrupted run is resumed
out/<recipe>-<seed>/bundle      what `edge-train export` leaves
out/<recipe>-<seed>/row.json    the result; a run that has one of the same plan is done
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle.strictjson import read_json
from edge.files import write_whole
from train.commands.build import calibrate_run, evaluate_run, export_run
from train.commands.part import prepared_part
from train.commands.plan import Plan, System
from train.commands.sharing import Sharing, finished
from train.corpus.corpus import Corpus, read_corpus
from train.export.size import multiply_adds, parameters
from train.export.windows import write_windows
from train.judging.contrasts import UNKNOWNS
from train.learning.fit import start_task, train_task
from train.learning.members import Report
from train.learning.run import TrainedRun
from train.learning.segment import segment
from train.learning.trainer import Progress
from train.recipe.recipe import Recipe

__all__ = [
    "NOT_MEASURED",
    "SystemResult",
    "read_results",
    "run_folder",
    "train_all",
    "train_systems",
]

RESULT = "row.json"
# Of a collection without unknown species.
NOT_MEASURED: Mapping[str, Any] = {"auroc": {"value": None, "low": None, "high": None}}


@dataclass(frozen=True, kw_only=True)
class SystemResult:
    """What came of one run of a system. Estimates are {value, low, high}.

    `train_s` is CPU time of the training alone, with that of the runs it goes on from.
    """

    system: str
    recipe: str
    seed: int
    digest: str
    species: int
    steps: int
    train_s: float
    parameters: int
    multiply_adds: int
    macro_f1: dict[str, float | None]
    map: dict[str, float | None]
    auroc: dict[str, float | None]
    note: str = ""


def train_systems(
    plan: Plan, data: Path, *, out: Path, runs: int, sharing: Sharing, say: Callable[[str], None]
) -> list[SystemResult]:
    """Train what is missing, as it is shared out, with one thread each.

    Returns the results of every system, in the plan's order. Raises the first failure when the
    systems beside it are done.
    """
    plan, out = dataclasses.replace(plan, file=plan.file.absolute()), out.absolute()
    corpus = prepared_part(plan, data, out, workers=sharing.jobs, say=say)
    everything = (plan.file, out / "corpus", *(r.path for r in corpus.recordings[:1]))
    sharing = dataclasses.replace(sharing, sees=everything)
    todo = [
        (system, seed)
        for seed in range(runs)
        for system in plan.systems
        if not _done(plan, system, seed, out)
    ]
    say(f"{len(plan.systems)} systems, {len(corpus.labels)} species; runs to train: {len(todo)}")
    while todo:  # a system that goes on from another waits for it
        waiting = {(plan.recipe(system, seed=0).name, seed) for system, seed in todo}
        ready = [(system, seed) for system, seed in todo if (system.after, seed) not in waiting]
        for result in train_all(plan, ready, out, sharing):
            say(f"{result.system}, seed {result.seed}: macro F1 {result.macro_f1['value']}")
        todo = [one for one in todo if one not in ready]
    return read_results(plan, out)


def train_all(
    plan: Plan, todo: Sequence[tuple[System, int]], out: Path, sharing: Sharing
) -> Iterator[SystemResult]:
    """Yield results as they are finished; raises the first failure when all others are done."""
    yield from finished(train_one, [(plan, *one, out) for one in todo], sharing)


def train_one(plan: Plan, system: System, seed: int, out: Path) -> SystemResult:
    """Train, calibrate, evaluate and export one system with one thread.

    Also writes the windows that `edge-deploy quantize` needs.
    """
    recipe, corpus = plan.recipe(system, seed=seed), read_corpus(out / "corpus")
    folder = run_folder(out, recipe.name, seed)
    before = run_folder(out, system.after, seed) if system.after else None
    run = _fit(recipe, corpus, folder, out, before=before)
    calibrate_run(run, corpus, acceptance=recipe.acceptance)
    report = evaluate_run(run, corpus)
    export_run(run, corpus, path=folder / "bundle", name=recipe.name)
    write_windows(run, corpus, folder / "windows.npz", cache=out / "features", most=128)
    result = SystemResult(
        system=system.name,
        recipe=recipe.name,
        seed=seed,
        digest=plan.digest(system, seed=seed),
        species=len(run.labels),
        steps=recipe.steps,
        train_s=_seconds(folder),
        parameters=parameters(run.network),
        multiply_adds=multiply_adds(run.network, recipe.frontend.shape),
        macro_f1=report["recordings"]["closed"]["macro_f1"],
        map=report["recordings"]["closed"]["map"],
        auroc=report["windows"]["open"].get(UNKNOWNS, NOT_MEASURED)["auroc"],
        note=system.note,
    )
    write_whole(folder / RESULT, json.dumps(dataclasses.asdict(result), indent=1) + "\n")
    return result


def read_results(plan: Plan, out: Path) -> list[SystemResult]:
    """Return the results in `out` of the plan's systems, as the plan is now."""
    results = []
    for system in plan.systems:
        for file in sorted(out.glob(f"{plan.recipe(system, seed=0).name}-*/{RESULT}")):
            result = SystemResult(**read_json(file))
            if result.digest == plan.digest(system, seed=result.seed):
                results.append(result)
    return results


def run_folder(out: Path, recipe: str, seed: int) -> Path:
    """Return where the run of a recipe is in `out`."""
    return out / f"{recipe}-{seed}"


def _fit(
    recipe: Recipe, corpus: Corpus, folder: Path, out: Path, *, before: Path | None
) -> TrainedRun:
    """Do what `edge-train fit` does, or `segment` from the run in `before`; keep the time."""
    options: dict[str, Any] = {
        "folder": folder / "run",
        "cache": out / "features",
        "device": "cpu",
        "workers": 1,
    }
    if before is not None:
        clock = _clock(folder, _seconds(folder) or _seconds(before))
        return segment(recipe, corpus, earlier=before / "run", report=clock, **options)
    task = start_task(recipe, corpus, fold=0, **options)  # with the features, which do not count
    return train_task(task, corpus, _clock(folder, _seconds(folder)))


def _clock(folder: Path, earlier_s: float) -> Report:
    """Return a report that keeps the CPU time since now, added to `earlier_s`, in the folder."""
    started = time.process_time()

    def keep(_: int, progress: Progress) -> None:
        spent_s = earlier_s + time.process_time() - started
        spent = json.dumps({"step": progress.step, "train_s": spent_s})
        write_whole(folder / "seconds.json", spent, durable=True)

    return keep


def _seconds(folder: Path) -> float:
    """Return the CPU time of training so far, without what an interrupted epoch has lost."""
    file = folder / "seconds.json"
    return float(read_json(file)["train_s"]) if file.exists() else 0.0


def _done(plan: Plan, system: System, seed: int, out: Path) -> bool:
    file = run_folder(out, plan.recipe(system, seed=seed).name, seed) / RESULT
    if not file.exists():
        return False
    result = read_json(file)
    return bool(result["digest"] == plan.digest(system, seed=seed))
