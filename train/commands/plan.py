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
from train.recipe.recipe import Recipe
from train.recipe.sections import Folds, TestShare

__all__ = ["CorpusPlan", "Plan", "System", "load_plan"]

KEYS, OPTIONAL = {"corpus", "systems"}, {"full", "rule", "title"}


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

    `set` is what makes the line what it is; `small` is the small budget, which a full run leaves
    out. `note` is what a reader should know of it, `reported` what its paper gives for it. `after`
    is the name of the recipe whose run this one goes on from, for `edge-train segment` and
    `shift`. Networks start from published weights only where `pretrained` says so.
    """

    name: str
    recipe: str
    set: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    reported: str = ""
    after: str = ""
    pretrained: bool = False

    def __post_init__(self) -> None:
        for key in ("set", "small"):
            keyed(getattr(self, key), where=key)


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
    full: bool = False

    def recipe(self, system: System, *, seed: int) -> Recipe:
        """Return the recipe as it is trained here."""
        return load_recipe(
            self.file.parent / system.recipe,
            overrides={**({} if self.full else system.small), **system.set, "seed": seed},
            from_scratch=not system.pretrained,
        )

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
    systems = tuple(
        _section(System, each, where=f"{file}: systems[{i}]")
        for i, each in enumerate(values["systems"])
    )
    words = {key: str(values.get(key, "")) for key in ("title", "rule")}
    if words["rule"] and words["rule"] not in RULE_NAMES:
        raise ConfigError(
            f"{file}: rule: {shown(words['rule'])} is none of {', '.join(RULE_NAMES)}; leave it "
            "out where the paper has none"
        )
    plan = Plan(file=file, corpus=corpus, systems=systems, full=full, **words)
    _check_order(plan, [plan.recipe(system, seed=0).name for system in systems])
    return plan


def _section(cls: type[Any], values: object, *, where: str) -> Any:
    return from_mapping(cls, keyed(values, where=where), where=where)


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
