"""What to answer next, and what the answers say of each label.

Every other question is drawn at random, of the label with the fewest such answers: only these say
how often a label is right. The others are asked where an answer teaches most.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.bundle.precision import wilson
from edge.page.answers import Answer
from edge.page.clips import Clips, has_clip, may_have_clip
from edge.page.clusters import Cluster
from edge.store.events import Question, StoredEvent, select

__all__ = ["ENOUGH", "REASONS", "LabelPrecision", "next_question", "precision_of"]

ENOUGH = 20  # answers, from which on a precision is told
RECENT = 3000  # events that are looked at
FEW = 3  # events of a label that is new here
LARGE = 5  # events of a cluster that is worth a question of its own
RANDOM, RARE, TYPICAL, UNKNOWN, DOUBTFUL = "random", "rare", "typical", "unknown", "doubtful"
REASONS: Mapping[str, str] = {
    RANDOM: "it was drawn at random, for the precision of its label",
    RARE: "its label is new here",
    TYPICAL: "it is the most typical of unknown sounds that are alike",
    UNKNOWN: "it has no label and may be an animal",
    DOUBTFUL: "its label is the least certain",
}


@dataclass(frozen=True, kw_only=True)
class LabelPrecision:
    """Of `events` with a label, so many were `right`; `low` and `high` are of a 95 % interval."""

    label: str
    events: int
    right: int
    low: float
    high: float


def next_question(
    db: sqlite3.Connection,
    answers: Sequence[Answer],
    *,
    clips: Clips,
    clusters: Sequence[Cluster] = (),
    dice: random.Random | None = None,
) -> tuple[StoredEvent, str] | None:
    """Return the event to ask about, and why, of `REASONS`; None where all is answered.

    Of a cluster in which somebody has answered, no more than that is asked.
    """
    dice = dice or random.Random()
    answered = {answer.event for answer in answers}
    recent = select(db, Question(), newest_first=True, limit=RECENT)
    waiting = [e for e in recent if e.id not in answered and may_have_clip(clips, e)]
    unanswered = (one.members for one in clusters if answered.isdisjoint(one.members))
    large = sorted((ids for ids in unanswered if len(ids) >= LARGE), key=len, reverse=True)
    while waiting:
        event, why = _asked(waiting, answers, large, dice)
        if has_clip(clips, event):
            return event, why
        waiting.remove(event)
    return None


def precision_of(answers: Sequence[Answer]) -> list[LabelPrecision]:
    """Return how often each label is right, by what people say of events drawn at random.

    An event counts once, by most of those who are sure; where they are equally many, as wrong.
    """
    votes: dict[tuple[str, str], Counter[bool]] = {}
    for one in answers:
        if one.drawn == RANDOM and one.detected and one.answer != "unsure":
            right = one.answer == "right" or one.label == one.detected
            votes.setdefault((one.detected, one.event), Counter())[right] += 1
    found: dict[str, list[bool]] = {}
    for (label, _), count in votes.items():
        found.setdefault(label, []).append(count[True] > count[False])
    return [
        LabelPrecision(
            label=label,
            events=len(right),
            right=sum(right),
            low=wilson(sum(right), len(right))[0],
            high=wilson(sum(right), len(right))[1],
        )
        for label, right in sorted(found.items(), key=lambda entry: -len(entry[1]))
    ]


def _asked(
    waiting: Sequence[StoredEvent],
    answers: Sequence[Answer],
    clusters: Sequence[Sequence[str]],
    dice: random.Random,
) -> tuple[StoredEvent, str]:
    drawn = Counter(one.detected for one in answers if one.drawn == RANDOM)
    asked = sum(1 for one in answers if one.drawn and one.drawn != RANDOM)
    named = [event for event in waiting if event.label is not None]
    if named and sum(drawn.values()) <= asked:
        fewest = min(drawn[event.label or ""] for event in named)
        labels = sorted({e.label for e in named if e.label and drawn[e.label] == fewest})
        label = dice.choice(labels)
        return dice.choice([event for event in named if event.label == label]), RANDOM
    counts = Counter(event.label for event in waiting)
    for event in named:
        if counts[event.label] <= FEW:
            return event, RARE
    unknown = [event for event in waiting if event.label is None]
    # In turn: else the many unknown ones would keep all others from being asked.
    unnamed = sum(1 for one in answers if one.drawn in (TYPICAL, UNKNOWN))
    if unknown and (not named or unnamed <= asked // 2):
        typical = _most_typical(unknown, clusters)
        if typical is not None:
            return typical, TYPICAL
        return max(unknown, key=lambda e: e.novelty if e.animal is None else e.animal), UNKNOWN
    return min(named, key=_certainty), DOUBTFUL


def _most_typical(
    unknown: Sequence[StoredEvent], clusters: Sequence[Sequence[str]]
) -> StoredEvent | None:
    """Return the event that is most typical of the first of `clusters` that has one."""
    by_id = {event.id: event for event in unknown}
    return next((by_id[id] for members in clusters for id in members if id in by_id), None)


def _certainty(event: StoredEvent) -> float:
    likely = event.score if event.probability is None else event.probability
    return abs(likely - 0.5)
