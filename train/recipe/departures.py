"""Where a recipe departs from its paper: data of the recipe, key by key, with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edge.errors import SpecError, shown

__all__ = ["REPLACED", "check_departures", "with_replaced"]

REPLACED = "replaced for this run"
# Keys of which papers say nothing: they choose among species, runs and words.
OWN = ("name", "seed", "species", "withheld", "notes", "acceptance", "paper", "section", "departs")


def check_departures(recipe: Any, departs: Mapping[str, str]) -> None:
    """Raise `SpecError` unless each key is one of the recipe's, and has its reason.

    `recipe` is a `Recipe`; a key in a section is written `section.key`.
    """
    for key, reason in departs.items():
        _check_key(recipe, key)
        if not reason.strip():
            raise SpecError(f"departs: {key}: say why the recipe departs from the paper")


def with_replaced(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys `values` of a recipe with `overrides` in their place.

    Of a paper's recipe, each replaced key becomes a departure, and what the recipe says of it or of
    keys in it no longer stands.
    """
    together = {**values, **overrides}
    stated = values.get("departs")
    if not values.get("paper") or not isinstance(stated, dict | None) or "departs" in overrides:
        return together
    kept = {k: v for k, v in (stated or {}).items() if str(k).split(".")[0] not in overrides}
    replaced = {key: REPLACED for key in overrides if key not in OWN and "." not in key}
    return {**together, "departs": {**kept, **replaced}}


def _check_key(recipe: Any, key: str) -> None:
    """Raise `SpecError`, which names what there is, unless `key` leads to a value."""
    value, above = recipe, "the recipe"
    for part in key.split("."):
        known = _keys(value)
        if part not in known:
            there = f" (known: {', '.join(known)})" if known else ""
            raise SpecError(f"departs: {shown(key)}: {above} has no key {shown(part)}{there}")
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        above = part


def _keys(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return list(value)
    if dataclasses.is_dataclass(value):
        return [f.name for f in dataclasses.fields(value)]
    return []
