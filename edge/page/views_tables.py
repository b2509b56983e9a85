"""An event and unknown sounds as tables; those of days, species and answers are beside these."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from typing import TextIO

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from edge.page.app import here
from edge.page.clusters import Clusters
from edge.page.dates import is_date
from edge.page.days import utc_of
from edge.page.sending import events_file, sent_file
from edge.page.unknowns import members
from edge.page.views_event import ID, event_or_404
from edge.page.views_unknowns import GONE, NUMBER

__all__ = ["views"]

FORMS = "any(csv, raven, jsonl)"
UNKNOWN = ("cluster", "place_in_cluster", "id", "start_utc", "start_local", "said")
EVERY = "SELECT id, start_utc FROM latest WHERE label IS NULL ORDER BY start_utc DESC"
views = Blueprint("tables", __name__)


@views.get(f"/event/<{ID}:id>.<{FORMS}:form>")
def event_file(id: str, form: str) -> Response:
    """Give an event as a table."""
    return events_file([event_or_404(id)], form=form, name=id)


@views.get(f"/unknowns/<{NUMBER}:number>.<{FORMS}:form>")
def cluster_file(number: int, form: str) -> Response:
    """Give the events of a cluster as a table, the most typical first."""
    made = here().clusters.clusters()
    found = None if made is None else made.by_number.get(number)
    if found is None:
        raise NotFound(GONE)
    with here().reading() as db:
        events = members(db, found.members)
        return events_file(events, form=form, name=f"cluster-{number}")


@views.get("/unknowns.csv")
def unknowns_file() -> Response:
    """Give every unknown event as a row, with the cluster that it is in."""
    made = here().clusters.clusters()

    def write(stream: TextIO) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(UNKNOWN)
        with here().reading() as db:
            writer.writerows(_unknown(db, made))

    return sent_file(write, name="unknowns.csv", mime="text/csv")


def _unknown(db: sqlite3.Connection, made: Clusters | None) -> Iterator[list[object]]:
    places = (
        {}
        if made is None
        else {id: (one.number, at) for one in made.clusters for at, id in enumerate(one.members, 1)}
    )
    said: dict[str, str] = {}
    for event, what in here().answers.said():
        said[event] = f"{said[event]}; {what}" if event in said else what
    local = here().place.local
    for id, start in db.execute(EVERY):
        at = utc_of(start)
        if at is not None:
            dated = is_date(at)
            yield [
                *places.get(id, ("", "")),
                id,
                start if dated else "",
                local(at).isoformat() if dated else "",
                said.get(id, ""),
            ]
