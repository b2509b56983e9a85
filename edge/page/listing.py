"""Stored events in the forms that `edge detections` and the page give out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Literal, TextIO, get_args

from edge.page.dates import is_date
from edge.page.place import Shown
from edge.store.events import StoredEvent
from edge.terminal import printable

__all__ = ["TEXT_FORMATS", "TextFormat", "parquet_events", "print_table", "write_text"]

TextFormat = Literal["csv", "raven", "jsonl"]
TEXT_FORMATS: tuple[TextFormat, ...] = get_args(TextFormat)
PIPE_WIDTH = 200  # columns where the output is no terminal


def write_text(
    events: Iterable[StoredEvent],
    stream: TextIO,
    form: TextFormat,
    *,
    place: Shown,
    local_time: bool,
) -> None:
    """Write events; `local_time` fills the columns that have it, in the recorder's zone."""
    if form == "jsonl":
        for event in events:
            stream.write(json.dumps(_message(event, place, local_time), allow_nan=False) + "\n")
        return
    from edge.page.results import write_events  # late, as it takes memory: few ask for a table

    def zone(event: StoredEvent) -> tzinfo | None:
        return place.local(event.start).tzinfo if local_time else None

    write_events(events, stream, form, clips=place.clips, zone=zone)


def _message(event: StoredEvent, place: Shown, local_time: bool) -> dict[str, object]:
    if not is_date(event.start):
        return {**event.payload, "start_utc": None, "end_utc": None}
    if not local_time:
        return dict(event.payload)
    local = place.local(event.start).isoformat(timespec="microseconds")
    return {**event.payload, "start_local": local}


def parquet_events(events: Iterable[StoredEvent], path: Path, *, place: Shown) -> None:
    """Write events as the table `detections` of a dataset of `edge archive`."""
    from edge.archive.parquet import check_installed, table_of, write_table
    from edge.archive.schema import arrow_schema

    check_installed()
    schema = arrow_schema("detections")
    rows = [dict(_cells(event, place)) for event in events]
    write_table(path, [table_of(rows, schema)], schema)


def _cells(event: StoredEvent, place: Shown) -> Iterator[tuple[str, object]]:
    yield from event.payload.items()
    health, clock = event.payload.get("health"), event.payload.get("clock")
    if isinstance(health, dict):
        yield from health.items()
    if isinstance(clock, dict):
        yield from (
            ("clock_source", clock.get("source")),
            ("clock_synced", clock.get("synced")),
            ("clock_uncertainty_s", clock.get("uncertainty_s")),
        )
    yield "time_zone", None if place.zone is None else str(place.zone)
    yield "start_utc", event.start
    yield "end_utc", event.end
    yield "path", str(place.clips.file(event) or "")


def print_table(
    events: Iterable[StoredEvent], stream: TextIO, *, place: Shown, local_time: bool
) -> int:
    """Print a table for people; return how many events there were."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = "local time" if local_time else "UTC"
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in (heading, "species", "score", "right", "novelty", "length", "id"):
        number = name in ("score", "right", "novelty", "length")
        grid.add_column(name, justify="right" if number else "left", overflow="fold")
    for event in events:
        style = "dim" if event.label is None else "bold"
        grid.add_row(
            shown_time(event.start, place, local_time),
            Text(printable(event.name), style=style),
            f"{event.score:.2f}",
            "" if event.probability is None else f"{event.probability:.0%}",
            f"{event.novelty:.2f}",
            f"{event.length_s:.1f} s",
            printable(event.id[:12]),
        )
    if grid.row_count:
        width = None if stream.isatty() else PIPE_WIDTH
        Console(file=stream, width=width, highlight=False, markup=False, emoji=False).print(grid)
    return grid.row_count


def shown_time(at: datetime, place: Shown, local_time: bool) -> str:
    """Return a time to the second, for people."""
    if local_time:
        return f"{place.local(at):%Y-%m-%d %H:%M:%S%z}"
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"
