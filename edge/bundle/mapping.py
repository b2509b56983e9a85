"""Build a dataclass from a mapping of JSON or YAML, with errors that name the key."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import Any

from edge.errors import SpecError, shown

__all__ = ["from_mapping", "keys_of", "list_of", "refuse_strange_values"]

LARGEST_NUMBER = 1 << 53  # JSON's whole numbers are exact up to here; nothing of ours is as large
MOST_DEPTH = 12
LONGEST_TEXT = 10_000  # characters
NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def from_mapping(cls: type[Any], mapping: Mapping[str, Any], *, where: str) -> Any:
    """Build the dataclass `cls` from `mapping`.

    Raises `SpecError`, which begins with `where`, for a key that is unknown or missing, for a value
    of another type than the class says, and for one that the class refuses.
    """
    keys_of(mapping, where=where)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(mapping) - set(fields), key=str)
    if unknown:
        raise SpecError(f"{where}: unknown key {shown(unknown[0])} (known: {', '.join(fields)})")
    missing = [
        name
        for name, f in fields.items()
        if name not in mapping
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{where}: key '{missing[0]}' is missing")
    hints = _hints(cls)  # type: ignore[arg-type]
    for name, value in mapping.items():
        if not _fits(value, hints[name]):
            raise SpecError(f"{where}: {name}: {_misfit(value, hints[name])}")
    try:
        return cls(**mapping)
    except (TypeError, ValueError, OverflowError) as exc:
        raise SpecError(f"{where}: {exc}") from exc


def keys_of(value: object, *, where: str) -> Mapping[str, Any]:
    """Return `value`, which must be keys with values; raises `SpecError`."""
    if not isinstance(value, Mapping):
        raise SpecError(
            f"{where}: has the wrong type: must be a mapping of keys, not {shown(value)}"
        )
    return value


def list_of(value: object, *, where: str, most: int) -> Sequence[Any]:
    """Return `value`, which must be a list of at most `most`; raises `SpecError`."""
    if not isinstance(value, list | tuple):
        raise SpecError(f"{where}: has the wrong type: must be a list, not {shown(value)}")
    if len(value) > most:
        raise SpecError(f"{where}: has {len(value)} entries, more than {most}")
    return value


def refuse_strange_values(mapping: Mapping[str, Any]) -> None:
    """Raise `SpecError`, which names the key, for what no file of ours has.

    That is NaN and infinity, which JSON does not have, numbers that no program keeps exactly, long
    text, and values in values in values.
    """
    waiting: list[tuple[str, Any, int]] = [("", mapping, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise SpecError(f"{shown(key)}: is nested deeper than {MOST_DEPTH}")
        if isinstance(value, dict):
            waiting += [(name, inner, depth + 1) for name, inner in value.items()]
            waiting += [("a key", name, depth) for name in value]
        elif isinstance(value, list):
            waiting += [(key, inner, depth + 1) for inner in value]
        elif isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise SpecError(f"{shown(key)}: {shown(value)} is longer than {LONGEST_TEXT}")
        elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise SpecError(f"{shown(key)}: {_start(value)} is no number that can be meant")


def _start(number: int | float) -> str:
    # A whole number of thousands of digits cannot be written out.
    return f"one of {number.bit_length()} bits" if isinstance(number, int) else f"{number:g}"


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=False)


def _fits(value: object, hint: Any) -> bool:
    """Return whether `value` is of the type `hint`; of what is in a container only the kind."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if origin is dict and isinstance(value, dict):
        return all(_fits(v, arguments[1]) for v in value.values())
    if origin is tuple and isinstance(value, tuple):
        return all(_fits(v, arguments[0]) for v in value)
    if hint in (int, float):
        kinds = int if hint is int else int | float
        return isinstance(value, kinds) and not isinstance(value, bool)
    kind = hint if origin is None else origin
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _misfit(value: object, hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return f"{shown(value)} is none of {', '.join(map(str, typing.get_args(hint)))}"
    return f"must be {_named(hint)}, not {shown(value)}{_meant(value, hint)}"


def _meant(value: object, hint: Any) -> str:
    """Return how to write a number that YAML takes for text: with a point and a sign before e."""
    if not isinstance(value, str) or float not in (hint, *typing.get_args(hint)):
        return ""
    try:
        mantissa, exponent = f"{float(value):.15e}".split("e")
    except ValueError:  # no number, or none that is finite
        return ""
    digits = mantissa.rstrip("0")
    return f"; write {digits}{'0' * digits.endswith('.')}e{exponent}"


def _named(hint: Any) -> str:
    """Return the name of a type for people."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_named(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is dict or hint is dict:
        return "a mapping of keys"
    if origin is tuple:
        return f"a list of {_named(arguments[0])}"
    return NAMES.get(hint, "such a value as belongs there")
