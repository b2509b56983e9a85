"""What to answer next, and what the answers say of each label.

Every other question is drawn at random, of the label with the fewest such answers: only these say
how often a label is right. The others are asked where an answer teaches most.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.bundle.precision import wilson
from edge.page.answers import Answer
from edge.page.clips import Clips
from edge.page.clusters import Cluster
from edge.store.events import Question, StoredEvent, find, select

__all__ = ["ENOUGH", "RANDOM", "REASONS", "LabelPrecision", "next_question", "precision_of"]

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
    answers: Iterable[Answer],
    *,
    clips: Clips,
    clusters: Sequence[Cluster] = (),
    dice: random.Random | None = None,
) -> tuple[StoredEvent, str] | None:
    """Return the event to ask about, and why, of `REASONS`; None where all is answered.

    Of a cluster in which somebody has answered, no more than that is asked.
    """
    dice = dice or random.Random()
    recent = select(db, Question(), newest_first=True, limit=RECENT)
    waiting = {e.id: _Waiting.of(e) for e in recent if clips.may_have(e)}
    open_clusters = {id: one for one in clusters if len(one.members) >= LARGE for id in one.members}
    asked = _Asked()
    for answer in answers:
        asked.count(answer)
        waiting.pop(answer.event, None)
        if (cluster := open_clusters.get(answer.event)) is not None:
            for id in cluster.members:
                del open_clusters[id]
    while waiting:
        id, why = _asked(waiting, asked, open_clusters, dice)
        event = find(db, id)
        if event is not None and clips.has(event):
            return event, why
        del waiting[id]
    return None


def precision_of(answers: Iterable[Answer]) -> list[LabelPrecision]:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    """An event that may be asked about, without its message: there are thousands.

    `likely` is how surely it is what its label says, or of one without, that it is an animal.
    """

    id: str
    label: str | None
    likely: float

    @staticmethod
    def of(event: StoredEvent) -> _Waiting:
        """Return what is needed of an event."""
        if event.label is None:
            likely = event.novelty if event.animal is None else event.animal
        else:
            likely = event.score if event.probability is None else event.probability
        return _Waiting(id=event.id, label=event.label and sys.intern(event.label), likely=likely)


class _Asked:
    """How many answers were drawn of each label, and how many were asked for otherwise."""

    def __init__(self) -> None:
        self.drawn: Counter[str] = Counter()
        self.others = 0
        self.unnamed = 0

    def count(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.drawn == RANDOM:
            self.drawn[answer.detected] += 1
        elif answer.drawn:
            self.others += 1
            self.unnamed += answer.drawn in (TYPICAL, UNKNOWN)


def _asked(
    waiting: Mapping[str, _Waiting],
    asked: _Asked,
    clusters: Mapping[str, Cluster],
    dice: random.Random,
) -> tuple[str, str]:
    """Return the id of the event to ask about, and why."""
    named = [one for one in waiting.values() if one.label is not None]
    if named and asked.drawn.total() <= asked.others:
        fewest = min(asked.drawn[one.label or ""] for one in named)
        labels = sorted({o.label for o in named if o.label and asked.drawn[o.label] == fewest})
        label = dice.choice(labels)
        return dice.choice([one.id for one in named if one.label == label]), RANDOM
    counts = Counter(one.label for one in named)
    for one in named:
        if counts[one.label] <= FEW:
            return one.id, RARE
    unknown = [one for one in waiting.values() if one.label is None]
    # In turn: else the many unknown ones would keep all others from being asked.
    if unknown and (not named or asked.unnamed <= asked.others // 2):
        typical = _most_typical(unknown, clusters)
        if typical is not None:
            return typical, TYPICAL
        return max(unknown, key=lambda one: one.likely).id, UNKNOWN
    return min(named, key=lambda one: abs(one.likely - 0.5)).id, DOUBTFUL


def _most_typical(unknown: Sequence[_Waiting], clusters: Mapping[str, Cluster]) -> str | None:
    """Return the id that is most typical of the largest cluster that has any of `unknown`."""
    found = {clusters[one.id].number: clusters[one.id] for one in unknown if one.id in clusters}
    if not found:
        return None
    largest = max(found.values(), key=lambda one: (len(one.members), -one.number))
    waiting = {one.id for one in unknown}
    return next(id for id in largest.members if id in waiting)
