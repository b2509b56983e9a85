"""Which events people are told of: the rules, with what they remember.

Only events count that are sure enough. The first of them makes a species known at the site, and
known today, whether or not anybody is told; so a message never says "first" of a second one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol, get_args

from edge.bundle.labels import plain_name
from edge.config.notify import NotifyConfig
from edge.store.events import StoredEvent

__all__ = ["RULES", "UNTOLD", "Memory", "Names", "Rule", "Verdict", "is_sure", "judge"]

Rule = Literal["first_ever", "first_today", "species"]
RULES: tuple[Rule, ...] = get_args(Rule)  # the one that says most comes first
Untold = Literal["no_rule", "too_soon", "too_many"]
UNTOLD: tuple[Untold, ...] = get_args(Untold)
Verdict = Rule | Untold


class Memory(Protocol):
    """What is remembered of what was heard and told."""

    def hear(self, label: str, day: date) -> tuple[bool, bool]:
        """Note that a species was heard; return whether for the first time ever, and that day."""
        ...

    def last_told(self, rule: Rule, label: str, at: datetime) -> list[datetime]:
        """Return when the rule has last told of it before and after a time."""
        ...

    def count(self, day: date) -> int:
        """Return how many messages about events of a day there are."""
        ...

    def tell(self, rules: Iterable[Rule], label: str, *, day: date, at: datetime) -> None:
        """Note that a message was made that stands for these rules."""
        ...


@dataclass(frozen=True, kw_only=True)
class Names:
    """The species that people have listed: labels of the bundle, and names that are none of its."""

    labels: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def have(self, event: StoredEvent) -> bool:
        """Return whether the species of an event is among them."""
        names = filter(None, (event.label, event.common_name, event.scientific_name))
        return event.label in self.labels or any(plain_name(one) in self.others for one in names)


def is_sure(event: StoredEvent, config: NotifyConfig) -> bool:
    """Return whether an event is sure enough for anybody to be told of it."""
    if event.probability is not None:
        return event.probability >= config.probability
    return event.score >= config.score


def judge(
    event: StoredEvent,
    *,
    day: date,
    config: NotifyConfig,
    today: Names,
    species: Names,
    memory: Memory,
) -> Verdict:
    """Return the rule that tells of an event, or why none does; `day` is the site's own."""
    if event.label is None or not is_sure(event, config):
        return "no_rule"
    ever, first = memory.hear(event.label, day)
    animal = event.kind in ("animal", "")
    matches: dict[Rule, bool] = {
        "first_ever": animal and ever and config.first_ever,
        "first_today": animal and first and (config.first_today is True or today.have(event)),
        "species": species.have(event),
    }
    rules = [rule for rule in RULES if matches[rule]]
    if not rules:
        return "no_rule"
    interval = timedelta(seconds=config.every_s)
    due = [
        rule
        for rule in rules
        if all(
            abs(event.end - at) >= interval for at in memory.last_told(rule, event.label, event.end)
        )
    ]
    if not due:
        return "too_soon"
    if memory.count(day) >= config.most_per_day:
        return "too_many"
    memory.tell(rules, event.label, day=day, at=event.end)
    return due[0]
