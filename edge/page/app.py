"""The page as a whole: its parts, what every answer carries, and how faults look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, ValidationError

from edge.errors import EdgeError
from edge.page.access import Access, guard
from edge.page.dates import is_date
from edge.page.here import Here, here, here_at
from edge.page.place import Shown
from edge.store.events import StoredEvent

if TYPE_CHECKING:
    from edge.page.dataset.lab import Lab

__all__ = ["Here", "create_app", "here"]

UNDATED = "no date"
HEADERS = {
    # Nothing but what this page itself serves; no script or style within the text.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class DayConverter(BaseConverter):
    """A day in a path, such as 2026-05-01."""

    regex = r"\d{4}-\d\d-\d\d"

    def to_python(self, value: str) -> date:
        try:
            day = date.fromisoformat(value)
        except ValueError as exc:
            raise ValidationError from exc
        if not 1970 <= day.year < 2200:
            raise ValidationError
        return day

    def to_url(self, value: date) -> str:
        return value.isoformat()


def create_app(
    place: Shown | Lab,
    *,
    access: Access,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Flask:
    """Return the page over what a recorder has kept at `place`, or over a dataset."""
    from edge.page import (
        answering,
        views_day,
        views_event,
        views_other,
        views_tables,
        views_unknowns,
    )

    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.url_map.converters["day"] = DayConverter
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.auto_reload = False
    guard(app, access)
    if isinstance(place, Shown):
        app.extensions["edge"] = here_at(place, now=now)
        app.context_processor(lambda: {"lab": None})
    else:
        from edge.page.dataset.views import add_lab

        add_lab(app, place)
    parts = (views_day, views_event, views_other, views_unknowns, views_tables, answering)
    for part in parts:
        app.register_blueprint(part.views)
    app.after_request(_with_headers)
    app.register_error_handler(EdgeError, _cannot_be_read)
    app.register_error_handler(HTTPException, _refused)
    app.jinja_env.filters["clock"] = _clock
    app.jinja_env.filters["moment"] = _moment
    app.jinja_env.filters["percent"] = _percent
    app.jinja_env.tests["date"] = is_date
    app.jinja_env.tests["with_sound"] = _may_have_sound
    return app


def _may_have_sound(event: StoredEvent) -> bool:
    return here().place.clips.may_have(event)


def _clock(at: datetime) -> str:
    """Return the time of the day; without a date, how far into its recording it is."""
    return f"{here().place.local(at):%H:%M:%S}" if is_date(at) else f"+{at.hour}:{at:%M:%S}"


def _moment(at: datetime) -> str:
    return f"{here().place.local(at):%Y-%m-%d %H:%M:%S}" if is_date(at) else UNDATED


def _percent(value: float | None) -> str:
    """Return a probability that is never certain, "" where there is none."""
    return "" if value is None else f"{min(max(round(100 * value), 1), 99)} %"


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _cannot_be_read(error: EdgeError) -> ResponseReturnValue:
    return _page("The store cannot be read now", str(error), 503)


def _refused(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error.get_response()
    return _page(error.name, error.description or "", error.code)


def _page(title: str, text: str, status: int) -> tuple[Any, int]:
    return render_template("fault.html", title=title, text=text), status
