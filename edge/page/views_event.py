"""One event: its picture and sound, all that is known of it, and what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, render_template, request, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from edge.errors import AudioError, one_line
from edge.page.app import here
from edge.page.asking import REASONS
from edge.page.clips import PlacedClip
from edge.page.clusters import Cluster
from edge.page.dates import dated_message, is_date
from edge.page.pictures import HEIGHT, WIDTH
from edge.store.events import Question, StoredEvent, find, known_labels, neighbours, select

__all__ = ["axes_of", "event_or_404", "views"]

NEIGHBOURS = 3
SAME_LABEL = 12
MOST_TEXT = 300
UNIT_HEIGHT = 40  # of the picture, where the axis says its unit: on a phone it is large
NO_SOUND = "This event has no sound."
MIME = {".flac": "audio/flac", ".wav": "audio/wav"}
ID = "string(minlength=1, maxlength=64)"
views = Blueprint("event", __name__, url_prefix="/event")


@views.get(f"/<{ID}:id>")
def event(id: str) -> ResponseReturnValue:
    """Show an event."""
    place = here().place
    with here().reading() as db:
        found = _found(find(db, id))
        beside = neighbours(db, found, NEIGHBOURS)
        question = Question(label=found.label, unknown=found.label is None)
        same = list(select(db, question, newest_first=True, limit=8 * SAME_LABEL))
        names = known_labels(db)
    if not is_date(found.start):  # what is beside it, then, is only in its own recording
        beside = [one for one in beside if one.text("source") == found.text("source")]
    placed = place.clips.placed(found)
    earlier = [one for one in beside if one.start < found.start]
    later = [one for one in beside if one.start > found.start]
    return render_template(
        "event.html",
        event=found,
        day=place.local(found.start).date(),
        fields=list(_fields(dated_message(found.payload, found.start))),
        clip=axes_of(placed),
        without=place.clips.why_none(found) if placed is None else "",
        cluster=_cluster_of(found),
        before=earlier[-1] if earlier else None,
        after=later[0] if later else None,
        neighbours=beside,
        days_beside=len({place.local(one.start).date() for one in (found, *beside)}),
        same=[one for one in same if one.id != id and place.clips.at_hand(one)][:SAME_LABEL],
        names=names,
        answers=here().answers.of(id),
        said=request.args.get("said", ""),
        why=request.args.get("why", ""),
        reason=REASONS.get(request.args.get("why", ""), ""),
    )


@views.get(f"/<{ID}:id>/sound")
def sound(id: str) -> Response:
    """Give the clip of an event, or the part of it that the browser asks for."""
    found = event_or_404(id)
    path = here().place.clips.file(found)
    if path is None:
        raise NotFound(here().place.clips.why_none(found) or NO_SOUND)
    return send_file(path, mimetype=MIME[path.suffix], conditional=True, max_age=3600)


@views.get(f"/<{ID}:id>/spectrogram.png")
def spectrogram(id: str) -> Response:
    """Give the picture of an event's clip."""
    found = event_or_404(id)
    path = here().place.clips.file(found)
    if path is None:
        raise NotFound(here().place.clips.why_none(found) or NO_SOUND)
    try:
        content = here().pictures.of(path.stem, path)
    except AudioError as exc:
        raise NotFound(str(exc)) from exc
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(content, mimetype="image/png", headers=headers)


def event_or_404(id: str) -> StoredEvent:
    """Return the event of an id."""
    with here().reading() as db:
        return _found(find(db, id))


def _cluster_of(event: StoredEvent) -> Cluster | None:
    """Return the cluster that an unknown event is in."""
    made = here().clusters.clusters() if event.label is None else None
    return None if made is None else made.of_event.get(event.id)


def _found(event: StoredEvent | None) -> StoredEvent:
    if event is None:
        raise NotFound("There is no such event in the store; old ones go for new ones.")
    return event


def axes_of(placed: PlacedClip | None) -> Mapping[str, Any] | None:
    """Return where in the picture of its clip an event is, and the lines of its axes."""
    if placed is None or placed.duration_s <= 0:
        return None
    per_s = WIDTH / placed.duration_s
    step_s = next(step for step in (1, 2, 5, 10, 30, 60, 600) if placed.duration_s / step <= 10)
    top_khz = placed.sample_rate_hz / 2000
    step_khz = next(step for step in (1, 2, 5, 10, 20, 50, 100) if top_khz / step <= 8)
    return {
        "placed": placed,
        "width": WIDTH,
        "height": HEIGHT,
        "x": round(placed.start_s * per_s, 1),
        "length": round((placed.end_s - placed.start_s) * per_s, 1),
        "seconds": [(s, round(s * per_s, 1)) for s in range(0, int(placed.duration_s) + 1, step_s)],
        "khz": [
            (k, y)
            for k in range(step_khz, int(top_khz), step_khz)
            if (y := round(HEIGHT * (1 - k / top_khz), 1)) >= UNIT_HEIGHT
        ],
    }


def _fields(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield all that a message says, nested names with a dot."""
    for name, value in content.items():
        if isinstance(value, dict) and len(prefix) < 100:
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield one_line(f"{prefix}{name}"), one_line(str(value))[:MOST_TEXT]
