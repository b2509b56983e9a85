"""The species of a site as a person lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge.detect.seasons import MONTHS, Calendar
from edge.errors import ConfigError, shown
from edge.strictyaml import read_any

__all__ = ["Species", "SpeciesList", "parse_species", "read_species"]

ALL_MONTHS = MONTHS.all
FORM = (
    "must be a list of labels or names, or each of them with a list of months from 1 to 12 (null: "
    "all year)"
)


class Species(Protocol):
    """What is expected, and when."""

    @property
    def expected(self) -> Mapping[str, frozenset[int]]:
        """The parts of the year in which each label is expected."""
        ...

    @property
    def calendar(self) -> Calendar:
        """How these parts are counted."""
        ...


@dataclass(frozen=True, kw_only=True)
class SpeciesList:
    """The labels expected at a site, in alphabetical order, each with its months in order.

    Where no months were named they are all twelve. As a person wrote it, a list may have names in
    the place of labels; `resolve_species` knows what they mean. With a sign before each, it changes
    what a bundle expects at a place (`edge.detect.place`).
    """

    months: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def is_change(self) -> bool:
        """Whether it adds (`+label`) and removes (`-label`) only."""
        return any(_is_signed(label) for label, _ in self.months)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that are expected at some time of the year."""
        return tuple(label for label, _ in self.months)

    @property
    def expected(self) -> Mapping[str, frozenset[int]]:
        """The months of each label."""
        return {label: frozenset(months) for label, months in self.months}

    @property
    def calendar(self) -> Calendar:
        """The year in months."""
        return MONTHS


def parse_species(value: object) -> SpeciesList:
    """Parse a list of labels, or a mapping of labels to months, as YAML gives them.

    Raises ValueError with what is wrong.
    """
    if isinstance(value, SpeciesList):
        return value
    pairs = _pairs(value)
    for label, _ in pairs:
        if not (isinstance(label, str) and label and label.isprintable()):
            raise ValueError(f"{shown(label)} is not a label: {FORM}")
    labels = [label for label, _ in pairs]
    if not labels:
        raise ValueError("names no species: leave it out to expect every label of the bundle")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice")
    signed = [label for label in labels if _is_signed(label)]
    if signed and (len(signed) < len(labels) or isinstance(value, dict)):
        raise ValueError(f"has {signed[0]}: with a sign before one, each has one, and no months")
    months = sorted((label, _parse_months(label, months)) for label, months in pairs)
    return SpeciesList(months=tuple(months))


def read_species(file: Path, *, key: str) -> SpeciesList:
    """Read the list in a YAML file; raises `ConfigError` naming `key` and the file."""
    try:
        return parse_species(read_any(file))
    except ValueError as exc:
        raise ConfigError(f"{file} {exc}", key=key) from exc


def _is_signed(label: str) -> bool:
    return label.startswith(("+", "-"))


def _pairs(value: object) -> list[tuple[Any, Any]]:
    """Return labels with their months as they are written, None for all year."""
    if isinstance(value, list):
        return [(label, None) for label in value]
    if isinstance(value, dict):
        return list(value.items())
    raise ValueError(FORM)


def _parse_months(label: str, months: object) -> tuple[int, ...]:
    if months is None:
        return tuple(sorted(ALL_MONTHS))
    if not (isinstance(months, list) and months):
        raise ValueError(f"{label}: {shown(months)} is not a list of months from 1 to 12")
    for month in months:
        if not isinstance(month, int) or isinstance(month, bool) or month not in ALL_MONTHS:
            raise ValueError(f"{label}: {shown(month)} is not a month from 1 to 12")
    return tuple(sorted(set(months)))
