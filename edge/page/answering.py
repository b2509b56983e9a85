"""What people say of events: forms, the list of all that was said, and its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from flask import (
    Blueprint,
    Response,
    abort,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from edge.errors import UserError
from edge.page.answers import KINDS, LONGEST_NAME, Answer
from edge.page.app import here
from edge.page.asking import ENOUGH, RANDOM, REASONS, next_question, precision_of
from edge.page.exporting import EXPORTS, differing, export
from edge.page.labels import label_of
from edge.page.late_clips import fetch_late_clips
from edge.page.sending import sent_file
from edge.page.views_event import ID, event_or_404
from edge.store.embedded import newest_id
from edge.store.events import known_labels

__all__ = ["views"]

SHOWN = 200
SUFFIXES = {"manifest": "csv", "jsonl": "jsonl", "csv": "csv", "raven": "txt"}
views = Blueprint("answers", __name__)


@views.post(f"/event/<{ID}:id>/answer")
def answer(id: str) -> ResponseReturnValue:
    """Keep what somebody says of an event, and show it again."""
    kind = request.form.get("answer", "")
    if kind not in KINDS:
        abort(400, "This is none of the answers.")
    event = event_or_404(id)
    who = request.form.get("who", "").strip()[:LONGEST_NAME]
    session["who"] = who
    try:
        said = here().answers.add(
            event,
            kind,
            who=who,
            now=here().now(),
            placed=here().place.clips.placed(event),
            label=label_of(request.form.get("label", "")) if kind == "is" else "",
            drawn=why if (why := request.form.get("why", "")) in REASONS else "",
        )
    except UserError as exc:
        abort(400, str(exc))
    place = url_for("event.event", id=id, said=said.answer, why=said.drawn or None)
    return redirect(place, code=303)


@views.get("/next")
def ask() -> ResponseReturnValue:
    """Lead to the event of which an answer helps most."""
    found = here().answers.all()
    with here().reading() as db:
        made = here().clusters.look(newest_id(db)).clusters
        clusters = () if made is None else made.clusters
        asked = next_question(db, found, clips=here().place.clips, clusters=clusters)
    if asked is None:
        return render_template("answers.html", **_said(), nothing=True)
    event, why = asked
    return redirect(url_for("event.event", id=event.id, why=why))


@views.get("/answers")
def answers() -> ResponseReturnValue:
    """List what was said, the last first."""
    return render_template("answers.html", **_said())


@views.get("/answers.<form>")
def answers_file(form: str) -> Response:
    """Give what was said as a file."""
    if form not in EXPORTS:
        raise NotFound
    fetch_late_clips(here().answers, here().place)
    suffix = SUFFIXES[form]
    return sent_file(
        lambda stream: export(here().answers, stream, form),
        name=f"answers.{suffix}",
        mime="text/csv" if suffix == "csv" else "text/plain",
    )


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of the list: an answer, and of how many events of its cluster it is the answer."""

    answer: Answer
    events: int


def _lines(found: Iterable[Answer]) -> Iterator[_Line]:
    """Yield what was said, in the same order; an answer to a cluster is one line."""

    def own(answer: Answer) -> tuple[str, ...]:
        return (answer.cluster or answer.event, answer.who, answer.answered_utc, answer.answer)

    for _, together in groupby(found, key=own):
        rows = enumerate(together, 1)
        _, answer = next(rows)
        yield _Line(answer=answer, events=max((count for count, _ in rows), default=1))


def _said() -> dict[str, object]:
    answers = here().answers
    with here().reading() as db:
        names = known_labels(db)
    return {
        "answers": list(islice(_lines(answers.all("last first")), SHOWN)),
        "count": answers.count(),
        "differing": len(differing(answers)),
        "precision": precision_of(answers.all(drawn=RANDOM)),
        "names": names,
        "enough": ENOUGH,
    }
