"""Unknown sounds: those that are alike together, and an answer to all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from edge.errors import UserError
from edge.page.answers import KINDS, LONGEST_NAME
from edge.page.app import here
from edge.page.charts import bars
from edge.page.clustering import MOST_EVENTS
from edge.page.days import utc_of
from edge.page.labels import label_of
from edge.page.unknowns import ClusterRow, by_themselves, cluster_rows, examples, members
from edge.page.views_event import axes_of
from edge.store.embedded import newest_id
from edge.store.events import StoredEvent, known_labels

__all__ = ["views"]

CLUSTERS_AT_ONCE = 20
EVENTS_AT_ONCE = 48
EXAMPLES = 4
MOST_OFFSET = 1_000_000
NUMBER = "int(max=1000000000)"
views = Blueprint("unknowns", __name__, url_prefix="/unknowns")


@views.get("")
def unknowns() -> ResponseReturnValue:
    """List the clusters with their best examples, and what is in none."""
    offset, alone_from = _offset("from"), _offset("alone")
    with here().reading() as db:
        state = here().clusters.look(newest_id(db))
        rows = cluster_rows(db, state.clusters, place=here().place, said=here().answers.said())
        shown = [
            _Shown(row, examples(db, row.ids, clips=here().place.clips, most=EXAMPLES))
            for row in rows[offset : offset + CLUSTERS_AT_ONCE]
        ]
        alone, count = by_themselves(db, rows, limit=EVENTS_AT_ONCE, offset=alone_from)
        names = known_labels(db)
    return render_template(
        "unknowns.html",
        state=state,
        made=None if state.clusters is None else utc_of(state.clusters.made_utc),
        shown=shown,
        clusters=len(rows),
        events=sum(len(row.ids) for row in rows),
        most=MOST_EVENTS,
        pages_of_clusters=_Pages(offset, CLUSTERS_AT_ONCE, len(rows)),
        alone=alone,
        alone_count=count,
        alone_pages=_Pages(alone_from, EVENTS_AT_ONCE, count),
        answered=here().answers.said_of(alone),
        names=names,
    )


@views.get(f"/<{NUMBER}:number>")
def cluster(number: int) -> ResponseReturnValue:
    """Show all of a cluster."""
    place, offset = here().place, _offset("from")
    with here().reading() as db:
        state = here().clusters.look(newest_id(db))
        rows = cluster_rows(db, state.clusters, place=place, said=here().answers.said())
        at = _place_of(number, rows)
        row = rows[at]
        best = examples(db, row.ids, clips=place.clips, most=1)
        shown = members(db, row.ids[offset : offset + EVENTS_AT_ONCE])
        names = known_labels(db)
    said = request.args.get("said", "")
    return render_template(
        "cluster.html",
        one=_Shown(row, best),
        best=best[0] if best else None,
        clip=axes_of(place.clips.placed(best[0])) if best else None,
        shown=shown,
        sounding={one.id for one in shown if place.clips.has(one)},
        members_pages=_Pages(offset, EVENTS_AT_ONCE, len(row.ids)),
        before=rows[at - 1].cluster.number if at else None,
        after=rows[at + 1].cluster.number if at + 1 < len(rows) else None,
        answered=here().answers.said_of(shown),
        names=names,
        said=said if said in KINDS else "",
        kinds=KINDS,
        count=request.args.get("count", 0, type=int),
        changed=bool(request.args.get("changed")),
    )


@views.post(f"/<{NUMBER}:number>/answer")
def answer(number: int) -> ResponseReturnValue:
    """Keep what somebody says of all events of a cluster, if it is still what was looked at."""
    kind = request.form.get("answer", "")
    if kind not in KINDS or kind in ("right", "wrong"):
        abort(400, "This is none of the answers.")
    who = request.form.get("who", "").strip()[:LONGEST_NAME]
    session["who"] = who
    made = here().clusters.clusters()
    found = None if made is None else made.by_number.get(number)
    if found is None:
        raise NotFound(GONE)
    if request.form.get("seen", "") != found.digest:
        return redirect(url_for("unknowns.cluster", number=number, changed=1), code=303)
    with here().reading() as db:
        events = members(db, found.members)
    try:
        count = here().answers.add_cluster(
            events,
            kind,
            cluster=number,
            who=who,
            now=here().now(),
            label=label_of(request.form.get("label", "")) if kind == "is" else "",
        )
    except UserError as exc:
        abort(400, str(exc))
    here().late_clips.fetch()
    place = url_for("unknowns.cluster", number=number, said=kind, count=count)
    return redirect(place, code=303)


GONE = "There is no such cluster now: its sounds are in another one, or have gone for new ones."


class _Shown:
    """A cluster as a template shows it: with some of its events, and bars by hour."""

    def __init__(self, row: ClusterRow, best: list[StoredEvent]) -> None:
        self.row, self.best = row, best
        self.number = row.cluster.number
        counts = {f"{hour:02d}": count for hour, count in enumerate(row.by_hour)}
        self.bars = bars(counts, list(counts), "events")
        self.by_hour = ", ".join(f"{hour}: {n}" for hour, n in counts.items() if n)


@dataclass(frozen=True)
class _Pages:
    """Which part of a list is shown."""

    offset: int
    at_once: int
    total: int

    @property
    def before(self) -> int | None:
        """Where the part before begins, None for the first."""
        return max(0, self.offset - self.at_once) if self.offset else None

    @property
    def after(self) -> int | None:
        """Where the next part begins, None for the last."""
        following = self.offset + self.at_once
        return following if following < self.total else None


def _place_of(number: int, rows: list[ClusterRow]) -> int:
    """Return where a cluster is in the list."""
    places = [at for at, row in enumerate(rows) if row.cluster.number == number]
    if not places:
        raise NotFound(GONE)
    return places[0]


def _offset(name: str) -> int:
    return min(max(request.args.get(name, 0, type=int), 0), MOST_OFFSET)
