"""How many windows were what, in the ledger: a label, an unknown animal, another sound, nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from edge.types import Outcome

__all__ = ["COLUMNS", "OUTCOMES", "OutcomeCounts", "counts_in"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
COLUMNS = tuple(f"windows_{outcome}" for outcome in OUTCOMES)  # of the ledger


@dataclass(frozen=True, kw_only=True)
class OutcomeCounts:
    """Windows that were judged, by what they are."""

    label: int = 0
    unknown: int = 0
    other: int = 0
    nothing: int = 0

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.as_mapping().values())

    def with_one(self, outcome: Outcome) -> OutcomeCounts:
        """Return the counts with one more window."""
        counts = self.as_mapping()
        return OutcomeCounts(**{**counts, outcome: counts[outcome] + 1})

    def as_mapping(self) -> dict[Outcome, int]:
        """Return the count of each outcome."""
        return {outcome: getattr(self, outcome) for outcome in OUTCOMES}

    def as_columns(self) -> dict[str, int]:
        """Return the counts by `COLUMNS`; `counts_in` is the inverse."""
        return {f"windows_{outcome}": count for outcome, count in self.as_mapping().items()}


def counts_in(row: Mapping[str, Any]) -> OutcomeCounts:
    """Return what a row of the ledger says in its `COLUMNS`; raises ValueError or TypeError."""
    return OutcomeCounts(**{outcome: int(row[f"windows_{outcome}"]) for outcome in OUTCOMES})
