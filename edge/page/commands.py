"""The commands that look at a recorder: `edge detections`, `status`, `clips`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import ConfigError
from edge.terminal import aside, printable

if TYPE_CHECKING:
    from edge.page.place import Place
    from edge.store.events import Question

__all__ = ["clips_command", "config_option", "detections_command", "status_command"]

FORMATS = ("table", "csv", "raven", "jsonl", "parquet")
Command = Callable[..., Any]


def config_option(command: Command) -> Command:
    """Add the option that names the recorder's configuration."""
    text = "The recorder's configuration; without it, that of the installed recorder."
    path = click.Path(path_type=Path)
    return click.option("--config", "file", type=path, help=text)(command)


def chosen_events(command: Command) -> Command:
    """Add the options that choose among the events of a store."""
    for option in (
        click.option("--unknown", is_flag=True, help="Only what has no label."),
        click.option("--species", metavar="LABEL", help="Only this label or common name."),
        click.option("--until", metavar="TIME", help="Before this time; the forms of --since."),
        click.option(
            "--since",
            metavar="TIME",
            default="today",
            show_default=True,
            help="today, yesterday, 3h, 2d, a date, or a time with its zone (RFC 3339).",
        ),
    ):
        command = option(command)
    return command


@click.command("detections")
@config_option
@chosen_events
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--out", metavar="FILE", help="A file instead of the screen.")
@click.option("--local-time", is_flag=True, help="Times of the recorder's zone beside UTC.")
def detections_command(
    *, file: Path | None, form: str, out: str | None, local_time: bool, **chosen: Any
) -> None:
    """Say what was heard, from the store, also while the recorder runs."""
    from edge.page.listing import parquet_events, print_table, write_text
    from edge.page.place import place_of
    from edge.replay.output import output_file, text_output
    from edge.store.events import select
    from edge.store.reading import reading

    place = place_of(file)
    with reading(place.store) as db:
        events = select(db, _question(db, place, **chosen))
        if form == "parquet":
            if out is None:
                raise ConfigError("a Parquet file needs a name", key="--out")
            with output_file(out) as staging:
                parquet_events(events, staging, place=place)
            return
        with text_output(out) as stream:
            if form == "table":
                count = print_table(events, stream, place=place, local_time=local_time)
                aside(f"{count} events since {chosen['since']}")
            elif form in ("csv", "raven", "jsonl"):
                write_text(events, stream, form, place=place, local_time=local_time)  # type: ignore[arg-type]


@click.command("status")
@config_option
def status_command(file: Path | None) -> None:
    """Say on one screen what the recorder does and has heard today."""
    from edge.page.place import place_of
    from edge.page.status import status_of, status_screen

    for line in status_screen(status_of(place_of(file))):
        click.echo(printable(line))


@click.command("clips")
@config_option
@chosen_events
@click.option("--id", "id", metavar="ID", help="Only the event whose id begins so.")
@click.option("--play", is_flag=True, help="Play them, one after the other.")
@click.option(
    "--copy",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Copy them into this folder.",
)
def clips_command(
    *, file: Path | None, id: str | None, play: bool, folder: Path | None, **chosen: Any
) -> None:
    """List the sound files of events; play or copy them."""
    from edge.page.hearing import copy_clip, play_clip
    from edge.page.place import place_of
    from edge.store.events import select
    from edge.store.reading import reading

    place = place_of(file)
    with reading(place.store) as db:
        events = list(select(db, _question(db, place, **chosen)))
    missing = count = 0
    for event in events:
        if id is not None and not event.id.startswith(id):
            continue
        path = place.clips.file(event)
        if path is None:
            missing += 1
            continue
        count += 1
        target = path if folder is None else copy_clip(path, folder)
        click.echo(printable(f"{target}  {event.name}"))
        if play:
            play_clip(path)
    gone = f"; {missing} events have none (not kept, or given up for others)" if missing else ""
    aside(f"{count} clips{gone}")


def _question(
    db: Any, place: Place, *, since: str, until: str | None, species: str | None, unknown: bool
) -> Question:
    from edge.bundle.labels import plain_name
    from edge.page.place import parse_since
    from edge.store.events import Question, known_labels

    now = datetime.now(timezone.utc)
    label = None
    if species is not None:
        if unknown:
            raise ConfigError("excludes --unknown", key="--species", value=species)
        names = known_labels(db)
        wanted = plain_name(species)
        found = [key for key, name in names.items() if wanted in map(plain_name, (key, name))]
        if not found:
            some = ", ".join(sorted(names)[:5]) or "nothing"
            reason = f"has never been heard here; there is {some}"
            raise ConfigError(reason, key="--species", value=species)
        label = found[0]
    return Question(
        since=parse_since(since, now=now, place=place),
        until=None if until is None else parse_since(until, now=now, place=place),
        label=label,
        unknown=unknown,
    )
