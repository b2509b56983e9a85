"""Which species of a collection stand in turn for the unknown ones that it lacks."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["deal_species"]

TURNS = 3
FEWEST = 2  # species that can be told apart


def deal_species(labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return which species each turn leaves out: every one once, and two at least stay."""
    if len(labels) <= FEWEST:
        return ()
    turns = min(TURNS, len(labels))
    return tuple(tuple(labels[i::turns]) for i in range(turns))
