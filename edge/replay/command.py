"""The command `edge replay`: what a person gives and sees."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from edge.errors import ConfigError
from edge.replay.formats import TOP_FORMATS, Format
from edge.replay.options import replay_options
from edge.terminal import aside, warn

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from edge.replay.settings import ReplaySettings
    from edge.replay.writing import OutputChoice
    from edge.sources.file import Channel

__all__ = ["replay_command"]

MOST_CHANNELS = 1024  # of libsndfile


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@replay_options
def replay_command(*, paths: tuple[str, ...], form: Format, workers: int, **options: Any) -> None:
    """Detect animals in recordings: files, or folders with all the audio below them."""
    from edge.replay.recordings import dated, find_recordings, standard_input
    from edge.replay.replayer import Replayer
    from edge.replay.writing import Output

    choice = _choice(form, options)
    start, consecutive = _start(options.pop("start")), options.pop("consecutive")
    settings = _settings(form, options)
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

    names = ("out", "plot", "per_file", "overwrite", "min_score", "top")
    choice = OutputChoice(form=form, **{name: options.pop(name) for name in names})
    if choice.top is not None and form not in TOP_FORMATS:
        raise ConfigError(f"is only for --format {' and '.join(TOP_FORMATS)}", key="--top")
    if math.isnan(choice.min_score):  # which no range excludes
        raise ConfigError("is not a score from 0 to 1", key="--min-score", value="nan")
    if choice.min_score and form == "windows":
        raise ConfigError("is about detections, and --format windows has none", key="--min-score")
    if choice.overwrite and not choice.per_file:
        raise ConfigError("is only for --per-file; --out replaces a file", key="--overwrite")
    return choice


def _settings(form: Format, options: dict[str, Any]) -> ReplaySettings:
    """Take what decides the result from the options."""
    from edge.bundle.places import named_bundle
    from edge.detect.place import place_of
    from edge.detect.smoothing import SmoothingConfig
    from edge.detect.species_list import read_species
    from edge.models import default_bundle_path
    from edge.replay.settings import ReplaySettings
    from edge.section import section_of_options

    bundles = [named_bundle(bundle) for bundle in options["bundles"]] or [default_bundle_path()]
    species: str | None = options["species"]
    smoothing = {name: options[name] for name in SmoothingConfig.model_fields}
    return ReplaySettings(
        bundle=bundles[0],
        more_bundles=tuple(bundles[1:]),
        hop_s=options["hop_s"],
        zone=_zone(options["zone"]),
        place=place_of(options["lat"], options["lon"], occurrence=options["occurrence"]),
        offlist=options["offlist"],
        language=options["language"],
        channel=_channel(options["channel"]),
        species=read_species(Path(species), key="--species") if species is not None else None,
        smoothing=section_of_options(SmoothingConfig, smoothing),
        precision=options["precision"],
        spool=form == "windows",
        backend=options["backend"],
        engines=_engines(options["engines"]),
    )


def _start(text: str | None) -> datetime | None:
    from edge.clock import parse_start

    return None if text is None else parse_start(text)


def _zone(text: str | None) -> tzinfo | None:
    from edge.clock import parse_zone

    try:
        return None if text is None else parse_zone(text)
    except ValueError as exc:
        raise ConfigError(str(exc), key="--timezone") from exc


def _channel(text: str) -> Channel:
    if text in ("mix", "loudest"):
        return cast("Channel", text)
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CHANNELS:
        raise ConfigError("is not a channel from 1, mix or loudest", key="--channel", value=text)
    return int(text)


def _engines(folder: str | None) -> Path:
    from edge.config.config import load_config

    return Path(folder) if folder is not None else load_config(None).model.engines
