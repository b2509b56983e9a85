"""A plan: which systems are trained beside each other, on which part of a collection."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

from edge.bundle.digest import canonical_digest
from edge.bundle.spec import from_mapping
from edge.errors import ConfigError, shown
from edge.strictyaml import read_yaml
from train.corpus.splits import SplitPlan, Unit
from train.judging.calibration import RULE_NAMES
from train.recipe.load import keyed, load_recipe
from train.recipe.ranges import MOST, Range, Whole, check_ranges
from train.recipe.recipe import OPTIMISERS, Recipe
from train.recipe.sections import Folds, TestShare

__all__ = ["Average", "CorpusPlan", "Plan", "Sweep", "System", "load_plan"]

KEYS, OPTIONAL = {"corpus", "systems"}, {"averages", "full", "rule", "sweeps", "title"}


@dataclass(frozen=True, kw_only=True)
class CorpusPlan:
    """Which part of a collection is used.

    The `species` recorded by most people, up to `recordings` of each, and outliers of each role.
    `keep_types` keeps a type of song of each species for the test (`train.corpus.song_types`).
    """

    species: Annotated[int, Range(2, MOST)] = 8
    recordings: Annotated[int, Range(4, MOST)] = 24
    unknown: Whole = 60
    noise: Whole = 60
    background: Whole = 30
    test_share: TestShare = 0.3
    folds: Folds = 4
    by: Unit = "recordist"
    keep_types: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.by not in get_args(Unit):
            raise ValueError(f"by: '{self.by}' is none of {', '.join(get_args(Unit))}")

    @property
    def split(self) -> SplitPlan:
        """How the collection is split."""
        return SplitPlan(test_share=self.test_share, folds=self.folds, by=self.by)

    def as_mapping(self) -> dict[str, Any]:
        """Return what decides which part it is, without newer keys that are neutral."""
        plain = dataclasses.asdict(self)
        neutral = {"by": "recordist", "keep_types": False}
        return {k: v for k, v in plain.items() if k not in neutral or neutral[k] != v}


@dataclass(frozen=True, kw_only=True)
class System:
    """A line of the table: a recipe file, and the keys that are replaced in it.

    `set` is what makes the line what it is; `small` is the small budget, in whose place a full run
    has `full`. `note` is what a reader should know of it, `reported` what its paper gives for it.
    `after` is the name of the recipe whose run this one goes on from, for `edge-train segment` and
    `shift`. Networks start from published weights only where `pretrained` says so.
    """

    name: str
    recipe: str
    set: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] = field(default_factory=dict)
    full: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    reported: str = ""
    after: str = ""
    pretrained: bool = False

    def __post_init__(self) -> None:
        for key in ("set", "small", "full"):
            keyed(getattr(self, key), where=key)


@dataclass(frozen=True, kw_only=True)
class Average:
    """A line of the tables for what the systems with the recipes `of` say together.

    It is the power average of their scores, each by its recipe's `weight`.
    """

    name: str
    of: tuple[str, ...]
    reported: str = ""

    def __post_init__(self) -> None:
        if len(set(self.of)) < 2:
            raise ValueError("of: name the recipes of at least two systems")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A table and a picture: the system with the recipe `of` by optimiser and learning rate.

    `small` is replaced beyond what that system's own small budget replaces.
    """

    of: str
    optimisers: tuple[str, ...]
    rates: tuple[float, ...]
    small: dict[str, Any] = field(default_factory=dict)
    reported: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.optimisers if name not in OPTIMISERS]
        if unknown or not self.optimisers:
            named = f"'{unknown[0]}' is none of" if unknown else "name some of"
            raise ValueError(f"optimisers: {named} {', '.join(OPTIMISERS)}")
        if not self.rates or min(self.rates) <= 0:
            raise ValueError("rates: give learning rates above 0")

    @property
    def pairs(self) -> list[tuple[str, float]]:
        """Every optimiser with every learning rate."""
        return [(optimiser, rate) for optimiser in self.optimisers for rate in self.rates]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a table is made of, on the small budget unless it is `full`.

    `rule` is the paper's own rule for rejection, empty where it has none.
    """

    file: Path
    title: str
    rule: str
    corpus: CorpusPlan
    systems: tuple[System, ...]
    averages: tuple[Average, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    full: bool = False

    def recipe(self, system: System, *, seed: int) -> Recipe:
        """Return the recipe as it is trained here."""
        return load_recipe(
            self.file.parent / system.recipe,
            overrides={**(system.full if self.full else system.small), **system.set, "seed": seed},
            from_scratch=not system.pretrained,
        )

    def swept(self, sweep: Sweep) -> Recipe:
        """Return the recipe whose optimiser and learning rate are swept."""
        system = next(one for one in self.systems if self.recipe(one, seed=0).name == sweep.of)
        small = {**system.small, **sweep.small}
        return self.recipe(dataclasses.replace(system, small=small), seed=0)

    def digest(self, system: System, *, seed: int) -> str:
        """Return the sha256 of all that decides the result of a system, which is kept in it."""
        corpus = self.corpus.as_mapping()
        return canonical_digest([corpus, self.recipe(system, seed=seed).digest, system.after])


def load_plan(file: Path, *, full: bool = False, by: str | None = None) -> Plan:
    """Read a plan and every recipe it names; raises `ConfigError` or `SpecError` in one line.

    A `full` one has the papers' own budgets, and the larger part of the collection that its section
    `full` asks for. `by` takes the place of the plan's own split.
    """
    values = read_yaml(file, see="config/systems.yaml")
    if not KEYS <= set(values) <= KEYS | OPTIONAL or not isinstance(values["systems"], list):
        raise ConfigError(
            f"{file}: a plan has the keys {', '.join(sorted(KEYS))}, a list, and may have "
            f"{', '.join(sorted(OPTIONAL))}; see config/systems.yaml"
        )
    part = keyed(values["corpus"] or {}, where=f"{file}: corpus")
    if full:
        part = {**part, **keyed(values.get("full") or {}, where=f"{file}: full")}
    if by is not None:
        part = {**part, "by": by}
    corpus: CorpusPlan = _section(CorpusPlan, part, where=f"{file}: corpus")
    given: dict[str, Any] = {
        key: _sections(cls, values.get(key) or [], where=f"{file}: {key}")
        for key, cls in (("systems", System), ("averages", Average), ("sweeps", Sweep))
    }
    given |= {key: str(values.get(key, "")) for key in ("title", "rule")}
    if given["rule"] and given["rule"] not in RULE_NAMES:
        raise ConfigError(
            f"{file}: rule: {shown(given['rule'])} is none of {', '.join(RULE_NAMES)}; leave it "
            "out where the paper has none"
        )
    plan = Plan(file=file, corpus=corpus, full=full, **given)
    names = [plan.recipe(system, seed=0).name for system in plan.systems]
    _check_order(plan, names)
    _check_named(plan, names)
    return plan


def _sections(cls: type[Any], values: object, *, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ConfigError(f"{where}: must be a list")
    return tuple(_section(cls, one, where=f"{where}[{i}]") for i, one in enumerate(values))


def _section(cls: type[Any], values: object, *, where: str) -> Any:
    given = keyed(values, where=where)
    # YAML has lists; what is frozen has tuples.
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return from_mapping(cls, frozen, where=where)


def _check_order(plan: Plan, names: Sequence[str]) -> None:
    """Raise `ConfigError` for two recipes of one name, or one that comes before its `after`."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"{plan.file}: two systems have a recipe named {twice[0]}; give one another name: set: "
            "{name: ...}"
        )
    for i, system in enumerate(plan.systems):
        if system.after and system.after not in names[:i]:
            raise ConfigError(
                f"{plan.file}: systems[{i}].after: no system above it has a recipe named "
                f"{system.after}"
            )


def _check_named(plan: Plan, names: Sequence[str]) -> None:
    """Raise `ConfigError` for an average or a sweep of a recipe that no system has."""
    wanted = [
        *((f"averages[{i}]", name) for i, one in enumerate(plan.averages) for name in one.of),
        *((f"sweeps[{i}]", one.of) for i, one in enumerate(plan.sweeps)),
    ]
    for place, name in wanted:
        if name not in names:
            raise ConfigError(
                f"{plan.file}: {place}.of: no system has a recipe named {name} (there are: "
                f"{', '.join(names)})"
            )
    for i, sweep in enumerate(plan.sweeps):
        if plan.swept(sweep).classifier is not None:
            raise ConfigError(
                f"{plan.file}: sweeps[{i}].of: a sweep compares what a network says of species, "
                f"and {sweep.of} only embeds"
            )
