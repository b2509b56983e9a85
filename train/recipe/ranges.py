"""What numbers a recipe may have: each is declared with its range, and checked in one place.

A field of a spec is of one of the types here, or `Annotated[..., Range(...)]`; `check_ranges` knows
no other numbers, so that a new key cannot be left out.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from edge.errors import SpecError, shown

__all__ = [
    "MOST",
    "Count",
    "Decibels",
    "Factor",
    "Range",
    "Ranges",
    "Rate",
    "Seed",
    "Share",
    "ShareBelow1",
    "Weight",
    "Whole",
    "check_order",
    "check_ranges",
    "ranges_of",
]

MOST = 1_000_000_000  # of anything that is counted
LARGEST = 1e15  # number that is written out


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, without these where they are open; NaN and infinity are never in it."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        inside = self.low <= value <= self.high
        return inside and not (
            (self.open_low and value == self.low) or (self.open_high and value == self.high)
        )

    def refusal(self, value: float) -> str:
        """Return why a value outside cannot be."""
        if self.high >= MOST and value <= self.low:
            least = "above" if self.open_low else "at least"
            return f"must be {least} {_plain(self.low)}, not {shown(value)}"
        return f"{shown(value)} is outside {self}"

    def __str__(self) -> str:
        left = [self.low] * self.open_low + [self.high] * self.open_high
        without = f", of which {' and '.join(map(_plain, left))} is not possible" if left else ""
        return f"{_plain(self.low)}..{_plain(self.high)}{without}"


@dataclass(frozen=True)
class Ranges:
    """Those of a field, which has `count` numbers; None: a list of any length, all in the first."""

    ranges: tuple[Range, ...]
    count: int | None

    def each(self, count: int) -> tuple[Range, ...]:
        """Return the range of each of `count` numbers."""
        return self.ranges[:1] * count if self.count is None else self.ranges


Count = Annotated[int, Range(1, MOST)]
Whole = Annotated[int, Range(0, MOST)]  # a count that may be 0
Seed = Annotated[int, Range(0, 2**31 - 1)]  # what every library takes, with a few added
Share = Annotated[float, Range(0, 1)]
ShareBelow1 = Annotated[float, Range(0, 1, open_high=True)]
Weight = Annotated[float, Range(0, 1000)]
Rate = Annotated[float, Range(0, 1e30, open_low=True)]  # a training that diverges says so itself
Factor = Annotated[float, Range(0, 1000, open_low=True)]
Decibels = Annotated[float, Range(-200, 200)]


def check_ranges(spec: Any, *, within: str = "") -> None:
    """Raise `SpecError`, which names the key, for a number of a spec that is outside its range.

    `within` comes before the key.
    """
    for name, ranges in ranges_of(type(spec)).items():
        value = getattr(spec, name)
        if value is None:
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        if ranges.count is not None and len(numbers) != ranges.count:
            raise SpecError(f"{within}{name}: {shown(list(value))}: must be {ranges.count} numbers")
        for number, allowed in zip(numbers, ranges.each(len(numbers)), strict=True):
            if number not in allowed:
                raise SpecError(f"{within}{name}: {allowed.refusal(number)}")


def check_order(spec: Any, *names: str) -> None:
    """Raise `SpecError` for a pair of numbers of a spec of which the first is the higher."""
    for name in names:
        low, high = getattr(spec, name)
        if low > high:
            raise SpecError(f"{name}: {low} to {high} dB: the lower number must come first")


def ranges_of(cls: type[Any]) -> dict[str, Ranges]:
    """Return the range of each number of a dataclass.

    Raises TypeError for a number without one, which is a fault of the program.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {}
    for field in dataclasses.fields(cls):
        ranges = tuple(_ranges_in(hints[field.name], field.name))
        if ranges:
            found[field.name] = Ranges(ranges, _length(hints[field.name]))
    return found


def _ranges_in(hint: Any, name: str) -> Iterator[Range]:
    if hint in (int, float):
        raise TypeError(f"{name} has no range: declare one")
    origin = typing.get_origin(hint)
    if origin is Annotated:
        yield from (one for one in hint.__metadata__ if isinstance(one, Range))
    elif origin in (typing.Union, types.UnionType, tuple):
        for part in typing.get_args(hint):
            yield from _ranges_in(part, name)


def _length(hint: Any) -> int | None:
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is not tuple:
        return 1
    return None if Ellipsis in parts else len(parts)


def _plain(number: float) -> str:
    return f"{number:.0f}" if 1_000_000 <= abs(number) <= LARGEST else f"{number:g}"
