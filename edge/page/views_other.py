"""Species with their histories, and how the recorder does."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from urllib.parse import quote

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from edge.page.app import here
from edge.page.charts import bars, days_between, level_line
from edge.page.history import LabelHistory, history_of, species
from edge.page.levels import Level, levels_of
from edge.page.status import status_of, status_screen
from edge.replay.formats.guarded import guarded_name
from edge.store.events import Question, known_labels, select

__all__ = ["views"]

DAYS = (30, 90, 365)
RECENT = 20
LOWEST_DBFS = -90.0
MOST_FAULTS, ALL_FAULTS = 200, 10_000_000
FAULT = ("path", "site", "status", "reason", "duration_s", "missing_s")
NEVER = "Nothing with this label was ever heard here."
LABEL = "string(minlength=1, maxlength=80)"
views = Blueprint("other", __name__)


@views.get("/species")
def all_species() -> ResponseReturnValue:
    """List every label that was ever heard."""
    with here().reading() as db:
        rows = species(db)
        names = known_labels(db)
    return render_template("species.html", rows=rows, names=names)


@views.get("/species.csv")
def all_species_file() -> Response:
    """Give the same as a table."""
    with here().reading() as db:
        rows = species(db)
        names = known_labels(db)
    head = ["label", "common_name", "events", "first_utc", "newest_utc"]
    table: list[list[object]] = [
        [r.label or "", guarded_name(names.get(r.label or "", "")), r.events, r.first, r.newest]
        for r in rows
    ]
    return _csv("species", head, table)


@views.get(f"/species/<{LABEL}:label>")
def one_species(label: str) -> ResponseReturnValue:
    """Show when a label was heard."""
    place = here().place
    first, last = _span()
    with here().reading() as db:
        names = known_labels(db)
        if label not in names:
            raise NotFound(NEVER)
        history = history_of(db, label, first=first, last=last, place=place, known=here().heard)
        newest = list(select(db, Question(label=label), newest_first=True, limit=RECENT))
    days = days_between(first, last)
    return render_template(
        "one_species.html",
        label=label,
        name=names[label],
        history=history,
        total=sum(history.days.values()),
        first=first,
        last=last,
        spans=DAYS,
        span=len(days),
        day_bars=bars(history.days, days, "events"),
        heard_bars=bars(history.heard_h, days, "h heard"),
        hour_bars=bars(dict(enumerate(history.by_hour)), range(24), "events"),
        rates=[_rate(history, hour) for hour in range(24)],
        newest=newest,
    )


@views.get(f"/species/<{LABEL}:label>.csv")
def one_species_file(label: str) -> Response:
    """Give events and hours heard by day as a table."""
    place = here().place
    first, last = _span()
    with here().reading() as db:
        if label not in known_labels(db):
            raise NotFound(NEVER)
        history = history_of(db, label, first=first, last=last, place=place, known=here().heard)
    rows = [
        [day, history.days.get(day, 0), f"{history.heard_h.get(day, 0.0):.3f}"]
        for day in days_between(first, last)
    ]
    return _csv(f"{label}", ["day", "events", "heard_h"], rows)


@views.get("/health")
def health() -> ResponseReturnValue:
    """Show how the recorder does, or what a dataset has of its recordings."""
    if (totals := here().totals) is not None:
        return render_template("health.html", totals=totals(MOST_FAULTS))
    place, now = here().place, here().now()
    status = status_of(place, now=now)
    with here().reading() as db:
        levels = levels_of(db)
    begin, end = now - timedelta(days=1), now
    return render_template(
        "health.html",
        status=status,
        lines=[line.split(maxsplit=1) for line in status_screen(status) if line[0] != " "],
        line=level_line(
            [(level.time, level.rms_dbfs) for level in levels],
            begin=begin,
            end=end,
            lowest=LOWEST_DBFS,
        ),
        newest=levels[-1] if levels else None,
        begin=begin,
        end=end,
        lowest=LOWEST_DBFS,
        table=levels[-1:-61:-5],
    )


@views.get("/health.csv")
def health_file() -> Response:
    """Give the levels of two days as a table; of a dataset, what was not heard or not whole."""
    if (totals := here().totals) is not None:
        faults = [[getattr(one, name) for name in FAULT] for one in totals(ALL_FAULTS).faults]
        return _csv("recordings", list(FAULT), faults)
    with here().reading() as db:
        levels = levels_of(db)
    return _csv(
        "levels", list(Level.__dataclass_fields__), [list(vars(one).values()) for one in levels]
    )


def _span() -> tuple[date, date]:
    """Return the first and the last day that are asked for."""
    days = request.args.get("days", DAYS[1], type=int)
    last = here().today()
    return last - timedelta(days=(days if days in DAYS else DAYS[1]) - 1), last


def _rate(history: LabelHistory, hour: int) -> tuple[int, int, float, float | None]:
    """Return an hour of the day, its events, the hours heard, and the events an hour heard."""
    events, heard_h = history.by_hour[hour], history.heard_by_hour[hour]
    return hour, events, heard_h, events / heard_h if heard_h >= 0.5 else None


def _csv(name: str, head: list[str], rows: list[list[object]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    disposition = f"attachment; filename*=UTF-8''{_quoted(name)}.csv"
    return Response(
        text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": disposition}
    )


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value
