"""What the views look at: a recorder, or a site of a dataset."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, cast

from flask import current_app

from edge.page.answers import Answers
from edge.page.cluster_runs import ClusterRuns
from edge.page.clusters import FILE as CLUSTERS
from edge.page.history import HeardHours
from edge.page.late_clips import LateClips
from edge.page.pictures import Pictures
from edge.page.place import Shown
from edge.store.reading import reading

if TYPE_CHECKING:
    from edge.page.dataset.totals import Totals

__all__ = ["Beside", "Here", "Reading", "here", "here_at"]

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]
Beside = tuple[date | None, date | None]  # the days before and after a day to which links lead


@dataclass(frozen=True, kw_only=True)
class Here:
    """What the views look at. `reading` opens the store, or what is like one; `today` is the day
    that the page begins with, and `beside` are the days beside a day. Of a dataset, `totals` is
    what it has, with so many recordings of which something is missing.
    """

    place: Shown
    pictures: Pictures
    answers: Answers
    clusters: ClusterRuns
    late_clips: LateClips
    heard: HeardHours
    now: Callable[[], datetime]
    reading: Reading
    today: Callable[[], date]
    beside: Callable[[date], Beside]
    totals: Callable[[int], Totals] | None = None


def here_at(place: Shown, *, now: Callable[[], datetime]) -> Here:
    """Return what there is at the place of a recorder."""

    def today() -> date:
        return place.local(now()).date()

    def beside(day: date) -> Beside:
        return day - timedelta(days=1), None if day == today() else day + timedelta(days=1)

    answers = Answers(place.labels)
    return Here(
        place=place,
        pictures=Pictures(place.pictures),
        answers=answers,
        clusters=ClusterRuns(place.store, place.labels.with_name(CLUSTERS)),
        late_clips=LateClips(answers, place),
        heard=HeardHours(),
        now=now,
        reading=lambda: reading(place.store),
        today=today,
        beside=beside,
    )


def here() -> Here:
    """Return what the present request is about."""
    found = current_app.extensions["edge"]
    return found if isinstance(found, Here) else cast("Here", found())
