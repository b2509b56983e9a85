"""Read a recipe from a YAML file: every mistake is one line that names the file and the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.bundle.spec import FrontendSpec, from_mapping
from edge.errors import SpecError, shown
from edge.strictyaml import read_yaml
from train.recipe.augmentation import AugmentSpec
from train.recipe.classifiers import ClassifierSpec, ElmSpec, ForestSpec, KnnSpec
from train.recipe.departures import REPLACED, with_replaced
from train.recipe.objectives import (
    CrossEntropySpec,
    DistilSpec,
    FocalSpec,
    KMeansSpec,
    SemihardSpec,
    TripletSpec,
)
from train.recipe.recipe import OPTIMISERS, SCHEDULES, Recipe
from train.recipe.sections import CropSpec, NetworkSpec, PseudoSpec, SplitSpec, StageSpec

__all__ = ["keyed", "load_recipe", "parse_recipe"]

SECTIONS: dict[str, type[Any]] = {
    "network": NetworkSpec,
    "augment": AugmentSpec,
    "split": SplitSpec,
    "crop": CropSpec,
    "pseudo": PseudoSpec,
}
# Sections that come in kinds.
KINDS: dict[str, tuple[type[Any], ...]] = {
    "objective": (TripletSpec, SemihardSpec, CrossEntropySpec, FocalSpec, KMeansSpec, DistilSpec),
    "classifier": (ClassifierSpec, KnnSpec, ForestSpec, ElmSpec),
}
LISTS = ("stages", "species", "withheld")
CHOICES = {"optimiser": OPTIMISERS, "schedule": SCHEDULES}


def load_recipe(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    from_scratch: bool = False,
    weights: Path | None = None,
) -> Recipe:
    """Read a recipe file, with keys replaced by `overrides`; raises `ConfigError` or `SpecError`.

    `from_scratch`: without published weights; `weights`: from those in a file. Of a paper's recipe,
    a replaced key is a departure.
    """
    values = read_yaml(path, see="config/recipes/")
    replaced = keyed(dict(overrides or {}), where=f"{path}: what is replaced in it")
    recipe = parse_recipe(with_replaced(values, replaced), where=str(path))
    if from_scratch:
        return _starting(recipe, pretrained=False)
    if weights is not None:
        return _starting(recipe, pretrained=True, weights=str(weights))
    return recipe


def _starting(recipe: Recipe, **changes: Any) -> Recipe:
    """Return the recipe with other weights to start from."""
    network = dataclasses.replace(recipe.network, **changes)
    departs = {f"network.{key}": REPLACED for key in changes} if recipe.paper else {}
    return dataclasses.replace(recipe, network=network, departs={**recipe.departs, **departs})


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Build a recipe from plain YAML types; raises `SpecError`, which begins with `where`."""
    parsed = dict(keyed(values, where=where))
    _check_lists(parsed, where=where)
    frontend = keyed(parsed.get("frontend") or {}, where=f"{where}: frontend")
    parsed["frontend"] = FrontendSpec.parse(frontend, where=f"{where}: frontend")
    for key, cls in SECTIONS.items():
        if parsed.get(key) is not None:
            parsed[key] = _section(cls, parsed[key], where=f"{where}: {key}")
    for key, classes in KINDS.items():
        if parsed.get(key) is not None:
            cls = _kind(parsed[key], classes, where=f"{where}: {key}")
            parsed[key] = _section(cls, parsed[key], where=f"{where}: {key}")
    parsed["stages"] = tuple(
        _section(StageSpec, stage, where=f"{where}: stages[{i}]")
        for i, stage in enumerate(parsed.get("stages") or ())
    )
    parsed["departs"] = _reasons(parsed.get("departs") or {}, where=f"{where}: departs")
    for key in ("species", "withheld"):
        parsed[key] = tuple(parsed.get(key) or ())
    recipe: Recipe = from_mapping(Recipe, parsed, where=where)
    _check_choices(recipe, where=where)
    _check_plain(recipe, where=where)
    return recipe


def keyed(values: object, *, where: str) -> dict[str, Any]:
    """Return `values`, a mapping whose keys are text; raises `SpecError` for anything else."""
    if not isinstance(values, dict):
        raise SpecError(f"{where}: must be a mapping of keys")
    for key in values:
        if not isinstance(key, str):
            raise SpecError(f"{where}: the key {key!r} is not text; put it in quotes")
    return values


def _reasons(values: object, *, where: str) -> dict[str, str]:
    """Return keys with text; raises `SpecError` for anything else."""
    reasons = keyed(values, where=where)
    for key, reason in reasons.items():
        if not isinstance(reason, str):
            raise SpecError(f"{where}: {key}: must be text that says why, not {shown(reason)}")
    return reasons


def _check_lists(values: Mapping[str, Any], *, where: str) -> None:
    """Raise `SpecError` for a key whose value must be a list, and is not."""
    for key in LISTS:
        if not isinstance(values.get(key) or [], list | tuple):
            raise SpecError(f"{where}: {key}: must be a list")


def _check_choices(recipe: Recipe, *, where: str) -> None:
    for key, allowed in CHOICES.items():
        value = getattr(recipe, key)
        if value not in allowed:
            raise SpecError(f"{where}: {key}: '{value}' is none of {', '.join(allowed)}")


def _check_plain(recipe: Recipe, *, where: str) -> None:
    """Raise `SpecError` for a date, NaN or infinity, which canonical JSON does not have."""
    try:
        _ = recipe.digest
    except (TypeError, ValueError) as exc:
        raise SpecError(f"{where}: {exc}; use text, finite numbers, lists and keys") from exc


def _kind(values: Any, classes: tuple[type[Any], ...], *, where: str) -> type[Any]:
    """Return the class of a section by its key `kind`.

    A classifier without one is the MLP; an objective must name its own.
    """
    by_name = {cls.kind: cls for cls in classes}
    fallback = ClassifierSpec.kind if ClassifierSpec in classes else None
    kind = values.get("kind", fallback) if isinstance(values, dict) else fallback
    if kind not in by_name:
        raise SpecError(f"{where}.kind: '{kind}' is none of {', '.join(by_name)}")
    return by_name[kind]


def _section(cls: type[Any], values: Any, *, where: str) -> Any:
    given = keyed(values, where=where)
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return from_mapping(cls, lists, where=where)
