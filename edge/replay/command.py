"""The command `edge replay`: what a person gives and sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge.errors import ConfigError
from edge.replay.formats import TOP_FORMATS, Format
from edge.replay.options import replay_options
from edge.terminal import aside, warn

if TYPE_CHECKING:
    from datetime import datetime

    from edge.replay.writing import OutputChoice

__all__ = ["replay_command"]


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@replay_options
def replay_command(*, paths: tuple[str, ...], form: Format, workers: int, **options: Any) -> None:
    """Detect animals in recordings: files, or folders with all the audio below them."""
    from edge.replay.given_settings import settings_of
    from edge.replay.recordings import dated, find_recordings, standard_input
    from edge.replay.replayer import Replayer
    from edge.replay.writing import Output

    choice = _choice(form, options)
    start, consecutive = _start(options.pop("start")), options.pop("consecutive")
    settings = settings_of(options, spool=form == "windows")
    with standard_input(paths) as piped:
        found = find_recordings(paths, piped=piped)
        recordings = dated(found.recordings, start, consecutive=consecutive)
        for note in found.notes():
            warn(note)
        output = Output(choice, recordings, given=paths)
        replayer = Replayer(settings)
        whole = output.write(replayer, workers=workers)
        for licence in replayer.licences:
            aside(licence)
        if not whole:
            raise click.exceptions.Exit(1)


def _choice(form: Format, options: dict[str, Any]) -> OutputChoice:
    """Take what is said about the output from the options."""
    from edge.replay.writing import OutputChoice

    names = ("out", "plot", "per_file", "overwrite", "resume", "min_score", "top")
    choice = OutputChoice(form=form, **{name: options.pop(name) for name in names})
    if choice.top is not None and form not in TOP_FORMATS:
        raise ConfigError(f"is only for --format {' and '.join(TOP_FORMATS)}", key="--top")
    if choice.min_score and form == "windows":
        raise ConfigError("is about detections, and --format windows has none", key="--min-score")
    if choice.overwrite and not choice.per_file:
        raise ConfigError("is only for --per-file; --out replaces a file", key="--overwrite")
    if choice.resume and not choice.per_file:
        suggestion = "edge archive hear goes on with what it has begun"
        raise ConfigError("is only for --per-file", key="--resume", suggestion=suggestion)
    if choice.resume and choice.overwrite:
        raise ConfigError("does not go with --overwrite", key="--resume")
    return choice


def _start(text: str | None) -> datetime | None:
    from edge.clock import parse_start

    return None if text is None else parse_start(text)
