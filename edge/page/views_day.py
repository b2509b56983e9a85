"""A day: species by hour with what was heard, the list of events, and the same as a table file."""

from __future__ import annotations

from datetime import date, timedelta

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from edge.page.app import here
from edge.page.charts import effort_strip
from edge.page.days import Day, day_of
from edge.page.sending import events_file
from edge.page.status import status_of
from edge.store.events import Question, known_labels, select

__all__ = ["question_of", "views"]

AT_ONCE = 100
MOST_OFFSET = 1_000_000
SHADES = 5
views = Blueprint("days", __name__)


@views.get("/")
def today() -> ResponseReturnValue:
    """Lead to the present day, or to the last one of a dataset."""
    return redirect(url_for("days.day", on=here().today()))


@views.get("/day/<day:on>")
def day(on: date) -> ResponseReturnValue:
    """Show a day."""
    place = here().place
    offset = min(max(request.args.get("from", 0, type=int), 0), MOST_OFFSET)
    with here().reading() as db:
        heard = day_of(db, on, place=place, now=here().now())
        question = question_of(heard)
        events = list(select(db, question, newest_first=True, limit=AT_ONCE, offset=offset))
        names = known_labels(db)
    total = _total(heard, question)
    is_today = on == here().today()
    before, after = here().beside(on)
    return render_template(
        "day.html",
        day=heard,
        is_today=is_today,
        rows=[(label, _name(label, names), counts) for label, counts in heard.counts.items()],
        shade=_shade(heard),
        strip=effort_strip(heard),
        events=events,
        names=names,
        answered=here().answers.said_of(events),
        question=question,
        chosen=request.args.get("label", ""),
        offset=offset,
        total=total,
        earlier=offset + AT_ONCE if offset + AT_ONCE < total else None,
        later=max(0, offset - AT_ONCE) if offset else None,
        before=before,
        after=after,
        status=status_of(place, now=here().now()) if is_today and not here().totals else None,
    )


@views.get("/day/<day:on>.<form>")
def day_file(on: date, form: str) -> Response:
    """Give the events of a day as a table."""
    place = here().place
    with here().reading() as db:
        begin, end = place.midnight(on), place.midnight(on + timedelta(days=1))
        question = Question(since=begin, until=end, label=_label(), unknown=_label() == "")
        return events_file(select(db, question), form=form, name=on.isoformat())


def question_of(heard: Day) -> Question:
    """Return which events of a day the address asks for."""
    label = _label()
    return Question(since=heard.begin, until=heard.end, label=label or None, unknown=label == "")


def _label() -> str | None:
    """Return the label that is asked for: "" for unknown ones, None for all."""
    if request.args.get("unknown"):
        return ""
    return request.args.get("label") or None


def _total(heard: Day, question: Question) -> int:
    if question.unknown:
        return sum(heard.counts.get(None, ()))
    if question.label is not None:
        return sum(heard.counts.get(question.label, ()))
    return heard.events


def _name(label: str | None, names: dict[str, str]) -> str:
    return "Unknown" if label is None else names.get(label, label)


def _shade(heard: Day) -> list[int]:
    """Return, for each count there may be, how dark its cell is."""
    most = max((max(counts) for counts in heard.counts.values()), default=0)
    return [0, *(1 + (SHADES - 1) * (i - 1) // max(1, most - 1) for i in range(1, most + 1))]
