"""From which score on the events of a label keep a precision, on recordings that were judged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.bundle.mapping import from_mapping, keys_of, list_of
from edge.errors import SpecError, shown

__all__ = ["LeastScore", "LeastScores", "wilson"]

MOST_NAMES = 20_000
Z = 1.959964  # of the 95 % interval


@dataclass(frozen=True, kw_only=True)
class LeastScore:
    """A least score in 0..1, and the evidence for it: of `events` with at least this score, so many
    were `right`; `low` and `high` are the ends of the 95 % interval of that share.
    """

    score: float
    events: int
    right: int
    low: float
    high: float

    def __post_init__(self) -> None:
        counted = 0 <= self.right <= self.events
        if not (counted and 0 <= self.score <= 1 and 0 <= self.low <= self.high <= 1):
            raise SpecError(f"score {self.score:g}: {self.right} of {self.events} cannot be")


@dataclass(frozen=True, kw_only=True)
class LeastScores:
    """The least score of each label for one precision.

    `own` are those of labels with enough events. Labels with too few of them have that of all
    labels `together`, None where even that is not kept. `not_kept` are labels with enough events
    that do not keep the precision at any score: they have none.
    """

    own: Mapping[str, LeastScore] = field(default_factory=dict)
    together: LeastScore | None = None
    not_kept: tuple[str, ...] = ()

    @property
    def named(self) -> set[str]:
        """The labels that it names."""
        return {*self.own, *self.not_kept}

    def least(self, label: str) -> float | None:
        """Return the least score of an event of `label`; None where no score is enough."""
        if label in self.not_kept:
            return None
        found = self.own.get(label, self.together)
        return None if found is None else found.score

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `parse` is the inverse."""
        plain = dataclasses.asdict(self)
        own = {name: dataclasses.asdict(score) for name, score in self.own.items()}
        return {**plain, "own": own, "not_kept": list(self.not_kept)}

    @staticmethod
    def parse(mapping: object, *, where: str) -> LeastScores:
        """Build from JSON types; raises `SpecError`, which names the key."""
        values = dict(keys_of(mapping, where=where))
        own = keys_of(values.get("own", {}), where=f"{where}: own")
        not_kept = list_of(values.get("not_kept", ()), where=f"{where}: not_kept", most=MOST_NAMES)
        together = values.get("together")
        values["own"] = {
            name: from_mapping(LeastScore, score, where=f"{where}: {shown(name)}")
            for name, score in own.items()
        }
        values["not_kept"] = tuple(not_kept)
        if together is not None:
            values["together"] = from_mapping(LeastScore, together, where=f"{where}: together")
        scores: LeastScores = from_mapping(LeastScores, values, where=where)
        return scores


def wilson(right: int, events: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share (Wilson 1927)."""
    if not events:
        return 0.0, 1.0
    share, squared = right / events, Z * Z
    centre = (share + squared / (2 * events)) / (1 + squared / events)
    half = math.sqrt(share * (1 - share) / events + squared / (4 * events**2))
    half *= Z / (1 + squared / events)
    return max(centre - half, 0.0), min(centre + half, 1.0)
