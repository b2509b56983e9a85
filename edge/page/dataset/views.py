"""What the page has of a dataset beside what it has of a recorder: sites, and sound without a date.

The site is a part of each address, so that each view of it is a link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from edge.errors import UserError
from edge.page.dataset.index import IndexedRecording, Site, zones_of
from edge.page.dataset.lab import Lab
from edge.page.dates import NO_DATE
from edge.page.here import Here, here
from edge.page.sending import events_file
from edge.store.events import Question, StoredEvent, known_labels, select

__all__ = ["add_lab"]

AT_ONCE = 100
UNDATED = Question(until=NO_DATE.replace(year=1970))
SITELESS = ("static", "login", "logout")
views = Blueprint("dataset", __name__)


@dataclass(frozen=True)
class AskedLab:
    """The dataset as a request asks for it: `site` is the one that it names, None for all."""

    lab: Lab
    sites: list[Site]
    site: Site | None

    @cached_property
    def times(self) -> str:
        """What clock the times are of, in words."""
        zones = zones_of([self.site] if self.site else self.sites)
        if len(zones) > 1:
            return "UTC: the sites have different time zones"
        zone = next(iter(zones), None)
        return "UTC: no recording says its time zone" if zone is None else zone

    @cached_property
    def undated(self) -> int:
        """How many recordings have no date."""
        return self.lab.index.undated(None if self.site is None else self.site.number)

    @property
    def name(self) -> str:
        """What the dataset is called."""
        return self.lab.places.dataset.name

    @property
    def bundle(self) -> str:
        """How the digest of the bundle begins that is looked at, "" where one has heard it all."""
        return (self.lab.places.bundle or "")[:12]

    @property
    def folder(self) -> str:
        """Where the dataset is."""
        return str(self.lab.places.dataset)

    @property
    def fault(self) -> str:
        """Why what is shown may be older than the dataset, "" where it is not."""
        return self.lab.follower.fault

    @cached_property
    def filled_by(self) -> str | None:
        """Which process fills it now."""
        return self.lab.filled_by()

    def recording(self, event: StoredEvent) -> IndexedRecording | None:
        """Return the recording of an event."""
        source = event.payload.get("source")
        return self.lab.index.recording(source) if isinstance(source, str) else None


def add_lab(app: Flask, lab: Lab) -> None:
    """Let the views of `app` look at a dataset."""
    app.extensions["edge"] = _here
    app.extensions["edge.lab"] = lab
    app.context_processor(_shown)
    app.register_blueprint(views)

    @app.url_defaults
    def keep_site(endpoint: str, values: dict[str, Any]) -> None:
        site = request.args.get("site") if endpoint not in SITELESS else None
        if site:
            values.setdefault("site", site)


@views.get("/undated")
def undated() -> ResponseReturnValue:
    """List the events of recordings that no trustworthy clock has dated."""
    offset = max(request.args.get("from", 0, type=int), 0)
    with here().reading() as db:
        events = list(select(db, UNDATED, limit=AT_ONCE + 1, offset=offset))
        names = known_labels(db)
    return render_template(
        "undated.html",
        groups=list(_by_recording(events[:AT_ONCE])),
        names=names,
        answered=here().answers.said_of(events[:AT_ONCE]),
        later=offset + AT_ONCE if len(events) > AT_ONCE else None,
        earlier=max(0, offset - AT_ONCE) if offset else None,
    )


@views.get("/undated.<form>")
def undated_file(form: str) -> Response:
    """Give them as a table."""
    with here().reading() as db:
        return events_file(select(db, UNDATED), form=form, name="undated")


def _by_recording(events: list[StoredEvent]) -> Iterable[tuple[str, list[StoredEvent]]]:
    found: dict[str, list[StoredEvent]] = {}
    for event in events:
        found.setdefault(event.text("source"), []).append(event)
    return found.items()


def _shown() -> dict[str, AskedLab | None]:
    try:
        return {"lab": _asked()}
    except UserError:  # the page that says so needs no more
        return {"lab": None}


def _here() -> Here:
    if "here" not in g:
        asked = _asked()
        site = asked.site
        if request.view_args and "id" in request.view_args:
            # An event is looked at where it was heard, whatever else was looked at before.
            number = asked.lab.index.site_of(request.view_args["id"])
            site = next((one for one in asked.sites if one.number == number), site)
        g.here = asked.lab.here(asked.sites, site)
    return cast("Here", g.here)


def _asked() -> AskedLab:
    if "lab" not in g:
        lab: Lab = current_app.extensions["edge.lab"]
        sites = lab.index.sites()
        name = request.args.get("site", "")
        site = next((one for one in sites if one.name == name), None)
        g.lab = AskedLab(lab, sites, site)
        if name and site is None:
            raise NotFound("The dataset has no site of this name.")
    return cast("AskedLab", g.lab)
