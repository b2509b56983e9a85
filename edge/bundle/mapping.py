"""Build a dataclass from a mapping of JSON or YAML, with errors that name the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edge.errors import SpecError

__all__ = ["from_mapping"]


def from_mapping(cls: type[Any], mapping: Mapping[str, Any], *, where: str) -> Any:
    """Build the dataclass `cls` from `mapping`.

    Raises `SpecError`, which begins with `where`, for a key that is unknown or missing and for a
    value that the class refuses.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(mapping) - set(fields), key=str)
    if unknown:
        raise SpecError(f"{where}: unknown key '{unknown[0]}' (known: {', '.join(fields)})")
    missing = [
        name
        for name, f in fields.items()
        if name not in mapping
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{where}: key '{missing[0]}' is missing")
    try:
        return cls(**mapping)
    except (TypeError, ValueError) as exc:
        raise SpecError(f"{where}: {exc}") from exc
