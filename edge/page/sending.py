"""Tables that the page gives away: written into a file beside the memory, and then sent."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable
from typing import TextIO

from flask import Response, send_file
from werkzeug.exceptions import NotFound

from edge.page.app import here
from edge.page.listing import TEXT_FORMATS, write_text
from edge.store.events import StoredEvent
from edge.terminal import SPELLED_OUT

__all__ = ["events_file", "sent_file"]

MIME = {"csv": "text/csv", "jsonl": "application/x-ndjson", "raven": "text/tab-separated-values"}


def sent_file(write: Callable[[TextIO], object], *, name: str, mime: str) -> Response:
    """Return what `write` writes as a file called `name`."""
    # Beside the memory; the response closes it.
    file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
    try:
        text = io.TextIOWrapper(file, "utf-8", SPELLED_OUT, newline="", write_through=True)
        write(text)
        text.detach()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return send_file(file, mimetype=mime, as_attachment=True, download_name=name)


def events_file(events: Iterable[StoredEvent], *, form: str, name: str) -> Response:
    """Return events as a table in one of `TEXT_FORMATS`."""
    wanted = next((known for known in TEXT_FORMATS if known == form), None)
    if wanted is None:
        raise NotFound
    place = here().place
    return sent_file(
        lambda stream: write_text(events, stream, wanted, place=place, local_time=True),
        name=f"{name}.{'txt' if form == 'raven' else form}",
        mime=MIME[form],
    )
