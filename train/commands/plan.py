"""A plan: which systems are trained beside each other, on which part of a collection."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.bundle.digest import canonical_digest
from edge.bundle.spec import from_mapping
from edge.errors import ConfigError
from edge.strictyaml import read_yaml
from train.recipe.load import keyed, load_recipe
from train.recipe.recipe import Recipe

__all__ = ["CorpusPlan", "Plan", "System", "load_plan"]


@dataclass(frozen=True, kw_only=True)
class CorpusPlan:
    """Which part of a collection is used.

    The `species` recorded by most people, up to `recordings` of each, and outliers of each role.
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
    """A line of the table: a recipe file, and the keys that the small budget replaces in it.

    `note` is what a reader should know of it. `after` is the name of the recipe whose run this one
    goes on from, for `edge-train segment` and `shift`.
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
    """What a table is made of."""

    file: Path
    corpus: CorpusPlan
    systems: tuple[System, ...]

    def recipe(self, system: System, *, seed: int) -> Recipe:
        """Return the recipe as it is trained here: reduced, from scratch."""
        return load_recipe(
            self.file.parent / system.recipe,
            overrides={**system.set, "seed": seed},
            from_scratch=True,
        )

    def digest(self, system: System, *, seed: int) -> str:
        """Return the sha256 of all that decides the result of a system, which is kept in it."""
        corpus = dataclasses.asdict(self.corpus)
        return canonical_digest([corpus, self.recipe(system, seed=seed).digest, system.after])


def load_plan(file: Path) -> Plan:
    """Read a plan and every recipe it names; raises `ConfigError` or `SpecError` in one line."""
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
