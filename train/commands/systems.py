"""Every system of the papers by one command: trained alike on part of a collection, judged alike,
exported, and laid side by side.

out/all, out/corpus            the collection prepared, and the part of it that the plan asks for
out/<recipe>-<seed>/run        what `edge-train fit` leaves; an interrupted run is resumed
out/<recipe>-<seed>/bundle     what `edge-train export` leaves
out/<recipe>-<seed>/row.json   what came of it; a run that has one for the same plan is done
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.bundle.digest import canonical_digest
from edge.bundle.spec import from_mapping
from edge.errors import ConfigError, EdgeError, FaultyConfigError, UserError
from edge.files import write_whole
from edge.strictyaml import read_yaml
from train.commands.build import calibrate_run, evaluate_run, export_run
from train.corpus.corpus import Corpus, Recording, read_corpus, recordist_key, write_corpus
from train.corpus.prepare import prepare
from train.export.size import multiply_adds, parameters
from train.export.windows import write_windows
from train.judging.evaluate import UNKNOWNS
from train.learning.fit import TrainedRun, start_task, train_task
from train.learning.members import Report
from train.learning.segment import segment
from train.learning.trainer import Progress
from train.recipe.recipe import Recipe, load_recipe

__all__ = ["Plan", "Row", "System", "load_plan", "read_rows", "run_folder", "train_systems"]

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CorpusPlan:
    """Which part of a collection: the `species` known from most people, up to `recordings` of each,
    and outliers of each role.
    """

    species: int = 8
    recordings: int = 24
    unknown: int = 60
    noise: int = 60
    background: int = 30
    test_share: float = 0.3
    folds: int = 4

    def __post_init__(self) -> None:
        if self.species < 2 or self.recordings < 4:
            raise ValueError(
                f"species {self.species} and recordings {self.recordings}: need at least 2 and 4"
            )


@dataclass(frozen=True, kw_only=True)
class System:
    """A line of the table: a recipe file, the keys that the small budget replaces in it, and what a
    reader should know of it.

    `after` is the name of the recipe whose run this one goes on from, for `edge-train segment` and
    `shift`.
    """

    name: str
    recipe: str
    set: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.set, dict):
            raise ValueError("set: must be a mapping of keys")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a table is made of. `digest` of all that decides a row is kept in it."""

    file: Path
    corpus: CorpusPlan
    systems: tuple[System, ...]

    def recipe(self, system: System, *, seed: int) -> Recipe:
        """The recipe as it is trained here: reduced, from scratch."""
        return load_recipe(
            self.file.parent / system.recipe,
            overrides={**system.set, "seed": seed},
            from_scratch=True,
        )

    def digest(self, system: System, *, seed: int) -> str:
        """Of what decides the row of a system."""
        decisive = [
            dataclasses.asdict(self.corpus),
            self.recipe(system, seed=seed).digest,
            system.after,
        ]
        return canonical_digest(decisive)


@dataclass(frozen=True, kw_only=True)
class Row:
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


def load_plan(file: Path) -> Plan:
    """Read a plan and every recipe it names; a mistake is one line that names file and key."""
    values = read_yaml(file, see="config/systems.yaml")
    if set(values) != {"corpus", "systems"} or not isinstance(values["systems"], list):
        raise ConfigError(
            f"{file}: a plan has the keys corpus and systems, a list; see config/systems.yaml"
        )
    corpus: CorpusPlan = _section(CorpusPlan, values["corpus"] or {}, where=f"{file}: corpus")
    systems = tuple(
        _section(System, each, where=f"{file}: systems[{i}]")
        for i, each in enumerate(values["systems"])
    )
    plan = Plan(file=file, corpus=corpus, systems=systems)
    names = [plan.recipe(system, seed=0).name for system in systems]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"{file}: two systems have a recipe named {twice[0]}; give one another name: set: "
            "{name: ...}"
        )
    for i, system in enumerate(systems):
        if system.after and system.after not in names[:i]:
            raise ConfigError(
                f"{file}: systems[{i}].after: no system above it has a recipe named {system.after}"
            )
    return plan


def _section(cls: type[Any], values: object, *, where: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: must be a mapping of keys")
    return from_mapping(cls, values, where=where)


def train_systems(
    plan: Plan, data: Path, *, out: Path, runs: int, jobs: int, say: Say
) -> list[Row]:
    """Train what is missing, `jobs` at once with one thread each; the rows of every system, in the
    plan's order.
    """
    corpus = _corpus(plan, data, out, workers=jobs, say=say)
    todo = [
        (system, seed)
        for seed in range(runs)
        for system in plan.systems
        if not _done(
            run_folder(out, plan.recipe(system, seed=seed).name, seed),
            plan.digest(system, seed=seed),
        )
    ]
    say(f"{len(plan.systems)} systems, {len(corpus.labels)} species; {len(todo)} runs to train")
    while todo:  # a system that goes on from another waits for it
        waiting = {(plan.recipe(system, seed=0).name, seed) for system, seed in todo}
        ready = [(system, seed) for system, seed in todo if (system.after, seed) not in waiting]
        for row in train_all(plan, ready, out, jobs):
            say(f"{row.system}, seed {row.seed}: macro F1 {row.macro_f1['value']}")
        todo = [one for one in todo if one not in ready]
    return read_rows(plan, out)


def train_all(
    plan: Plan, todo: Sequence[tuple[System, int]], out: Path, jobs: int
) -> Iterator[Row]:
    """The rows as they are finished; the first failure is raised when all others are done."""
    failed: list[BaseException] = []
    if jobs == 1:
        for system, seed in todo:
            try:
                yield train_one(plan, system, seed, out)
            except (EdgeError, OSError) as exc:
                failed.append(exc)
        if failed:
            raise failed[0]
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed(
            [pool.submit(train_apart, plan, system, seed, out) for system, seed in todo]
        ):
            if (failure := future.exception()) is None:
                yield future.result()
            else:
                failed.append(failure)
    if failed and isinstance(failed[0], BrokenProcessPool):
        raise UserError(
            f"{out}: a process died, perhaps for lack of memory; run the same command again, with "
            "fewer --jobs"
        )
    if failed:
        raise failed[0]


def train_apart(plan: Plan, system: System, seed: int, out: Path) -> Row:
    """`train_one` in a process of its own, out of which a `FaultyConfigError` cannot be sent."""
    try:
        return train_one(plan, system, seed, out)
    except FaultyConfigError as exc:
        raise ConfigError(str(exc)) from exc


def read_rows(plan: Plan, out: Path) -> list[Row]:
    """The rows in `out` of the plan's systems, as it is now."""
    rows = []
    for system in plan.systems:
        for file in sorted(out.glob(f"{plan.recipe(system, seed=0).name}-*/row.json")):
            row = Row(**json.loads(file.read_text(encoding="utf-8")))
            if row.digest == plan.digest(system, seed=row.seed):
                rows.append(row)
    return rows


def train_one(plan: Plan, system: System, seed: int, out: Path) -> Row:
    """Train, calibrate, evaluate and export one system with one thread; also writes what
    `edge-deploy quantize` needs.
    """
    recipe, corpus = plan.recipe(system, seed=seed), read_corpus(out / "corpus")
    folder = run_folder(out, recipe.name, seed)
    run = _fit(
        recipe,
        corpus,
        folder,
        out,
        before=run_folder(out, system.after, seed) if system.after else None,
    )
    calibrate_run(run, corpus, acceptance=recipe.acceptance)
    report = evaluate_run(run, corpus)
    export_run(run, corpus, path=folder / "bundle", name=recipe.name)
    write_windows(run, corpus, folder / "windows.npz", cache=out / "features", most=128)
    row = Row(
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
        auroc=report["windows"]["open"][UNKNOWNS]["auroc"],
        note=system.note,
    )
    write_whole(folder / "row.json", json.dumps(dataclasses.asdict(row), indent=1) + "\n")
    return row


def _fit(
    recipe: Recipe, corpus: Corpus, folder: Path, out: Path, *, before: Path | None
) -> TrainedRun:
    """`edge-train fit`, or `segment` where the recipe goes on from the run in `before`; keeps the
    time it took.
    """
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
    """Keeps in the folder, after each epoch, the CPU time since now and what there was of it
    before.
    """
    started = time.process_time()

    def keep(_: int, progress: Progress) -> None:
        spent_s = earlier_s + time.process_time() - started
        spent = json.dumps({"step": progress.step, "train_s": spent_s})
        write_whole(folder / "seconds.json", spent, durable=True)

    return keep


def run_folder(out: Path, recipe: str, seed: int) -> Path:
    """Where the run of a recipe lies in `out`."""
    return out / f"{recipe}-{seed}"


def _done(folder: Path, digest: str) -> bool:
    file = folder / "row.json"
    return file.exists() and json.loads(file.read_text(encoding="utf-8"))["digest"] == digest


def _seconds(folder: Path) -> float:
    """CPU time of training so far; what was lost with an interrupted epoch is not in it."""
    file = folder / "seconds.json"
    return float(json.loads(file.read_text(encoding="utf-8"))["train_s"]) if file.exists() else 0.0


def _corpus(plan: Plan, data: Path, out: Path, *, workers: int, say: Say) -> Corpus:
    wanted, there = dataclasses.asdict(plan.corpus), out / "corpus" / "corpus.json"
    if there.exists() and json.loads(there.read_text(encoding="utf-8")).get("part") == wanted:
        return read_corpus(out / "corpus")
    if there.exists():
        raise UserError(
            f"{out / 'corpus'}: is another part of a collection than {plan.file} asks for; choose "
            "another --out"
        )
    if not (out / "all" / "corpus.json").exists():
        say(f"preparing {data} in {out / 'all'}")
        prepare(
            data,
            out / "all",
            test_share=plan.corpus.test_share,
            folds=plan.corpus.folds,
            workers=workers,
        )
    whole = read_corpus(out / "all")
    part = Corpus(root=whole.root, recordings=tuple(choose(whole.recordings, plan.corpus)))
    write_corpus(out / "corpus", part, drawn={"part": wanted})
    return read_corpus(out / "corpus")


def choose(recordings: Sequence[Recording], plan: CorpusPlan) -> list[Recording]:
    """The part of a collection that the plan asks for; nothing of it depends on how well a system
    does.
    """
    people: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        if r.role == "known":
            people[r.label].add(recordist_key(r.recordist) or r.recording)
    species = sorted(people, key=lambda label: (-len(people[label]), label))[: plan.species]
    kept = {
        id(r)
        for label in species
        for r in _evenly((r for r in recordings if r.label == label), plan.recordings)
    }
    for role, most in (
        ("unknown", plan.unknown),
        ("noise", plan.noise),
        ("background", plan.background),
    ):
        kept |= {id(r) for r in _evenly((r for r in recordings if r.role == role), most)}
    return [r for r in recordings if id(r) in kept]


def _evenly(recordings: Iterable[Recording], most: int) -> list[Recording]:
    """At most `most` of them, spread over their order, which is by label and name."""
    there = list(recordings)
    return there if len(there) <= most else [there[i * len(there) // most] for i in range(most)]
