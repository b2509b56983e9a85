"""The command `edge replay`: what a person gives and sees."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from edge.errors import ConfigError
from edge.replay.formats import FORMATS, Format
from edge.terminal import warn

if TYPE_CHECKING:
    from datetime import tzinfo

    from edge.errors import AudioError
    from edge.replay.formats.base import FormatWriter, ReplayResult
    from edge.replay.recordings import Recording
    from edge.replay.replayer import Replayer, ReplaySettings
    from edge.sources.file import Channel

__all__ = ["BACKENDS", "replay_command"]

MOST_CHANNELS = 1024  # of libsndfile
BACKENDS = ("auto", "tensorrt", "cuda", "cpu")  # of edge.detect.engines, which takes long to import


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--bundle",
    "bundles",
    metavar="DIR",
    multiple=True,
    help="Bundle to use instead of the default; several judge together.",
)
@click.option(
    "--hop-s",
    type=float,
    default=1.0,
    show_default=True,
    help="Seconds from one window to the next.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Form of the output.",
)
@click.option(
    "--out",
    metavar="PATH",
    help="File to write instead of standard output; appears only when complete.",
)
@click.option(
    "--start", metavar="RFC3339", help="When each recording starts, e.g. 2024-05-01T05:30:00Z."
)
@click.option(
    "--consecutive",
    is_flag=True,
    help="Several recordings follow each other without a gap: --start is that of the first.",
)
@click.option(
    "--timezone",
    "zone",
    metavar="ZONE",
    help="What local time means in names and metadata without a zone, e.g. Europe/Vienna.",
)
@click.option(
    "--channel",
    default="mix",
    show_default=True,
    metavar="N|mix|loudest",
    help="Which channel is heard: a number from 1, the mean of all, or the one with most energy.",
)
@click.option(
    "--species",
    metavar="FILE",
    help="YAML list of the labels expected, or labels with their months; others are unknown.",
)
@click.option(
    "--slide-s",
    type=click.FloatRange(0, 60),
    default=0.0,
    help="As model.slide_s of the configuration.",
)
@click.option(
    "--boost",
    type=click.FloatRange(1, 10),
    default=1.0,
    help="As model.boost of the configuration.",
)
@click.option(
    "--boost-s",
    type=click.FloatRange(0, 86_400),
    default=600.0,
    help="As model.boost_s of the configuration.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; files are shared among them.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="What runs the network.",
)
@click.option(
    "--engines",
    metavar="DIR",
    help="Folder of compiled engines.  [default: engines, below $CACHE_DIRECTORY]",
)
@click.option(
    "--plot",
    metavar="PNG",
    help="Also draw the spectrogram of a single recording with its detections.",
)
def replay_command(
    *, paths: tuple[str, ...], form: Format, out: str | None, plot: str | None, **options: Any
) -> None:
    """Detect animals in recordings: files, or folders with all the audio below them."""
    from edge.clock import parse_start
    from edge.replay.output import refuse_to_overwrite
    from edge.replay.recordings import dated, find_recordings, standard_input
    from edge.replay.replayer import Replayer

    workers = options.pop("workers")
    start, consecutive = options.pop("start"), options.pop("consecutive")
    settings = _settings(spool=form == "windows", **options)
    with standard_input(paths) as piped:
        found = find_recordings(paths, piped=piped)
        recordings = dated(
            found.recordings, parse_start(start) if start else None, consecutive=consecutive
        )
        if plot and len(recordings) > 1:
            raise ConfigError(
                f"draws one recording, and {len(recordings)} were given", key="--plot"
            )
        refuse_to_overwrite([out, plot], found.files)
        for note in found.notes():
            warn(note)
        output = _Output(Replayer(settings), recordings, form=form, plot=plot)
        if not output.write(out, workers=workers):
            raise click.exceptions.Exit(1)


def _settings(
    *,
    bundles: tuple[str, ...],
    hop_s: float,
    zone: str | None,
    channel: str,
    species: str | None,
    backend: Any,
    engines: str | None,
    spool: bool,
    **smoothing: float,
) -> ReplaySettings:
    from edge.detect.site import read_species
    from edge.detect.smoothing import SmoothingConfig
    from edge.models import default_bundle_path
    from edge.replay.replayer import ReplaySettings
    from edge.section import section_of_options

    paths = [Path(bundle) for bundle in bundles] or [default_bundle_path()]
    return ReplaySettings(
        bundle=paths[0],
        more_bundles=tuple(paths[1:]),
        hop_s=hop_s,
        zone=_zone(zone),
        channel=_channel(channel),
        species=read_species(Path(species), key="--species") if species is not None else None,
        smoothing=section_of_options(SmoothingConfig, smoothing),
        spool=spool,
        backend=backend,
        engines=_engines(engines),
    )


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


class _Output:
    """Replays recordings into one output, and a picture of the one where it is wanted."""

    def __init__(
        self,
        replayer: Replayer,
        recordings: list[Recording | AudioError],
        *,
        form: Format,
        plot: str | None,
    ) -> None:
        self._replayer = replayer
        self._recordings = recordings
        self._form = form
        self._plot = plot

    def write(self, out: str | None, *, workers: int) -> bool:
        """Replay and write all recordings; return whether every one could be."""
        from edge.replay.formats import open_format
        from edge.replay.formats.base import ReplayResult
        from edge.replay.output import text_output
        from edge.replay.progress import progress_bar
        from edge.replay.replay import replay

        failed = 0
        writer: FormatWriter | None = None
        files = len(self._recordings)
        streaming = out is None and self._form != "table"
        with text_output(out) as stream:
            with (
                progress_bar(files, streaming=streaming) as report,
                closing(  # a full disk ends it early
                    replay(
                        self._replayer, self._recordings, workers=workers, progress=report.advance
                    )
                ) as outcomes,
            ):
                for done, outcome in enumerate(outcomes, 1):
                    report.advance(done)
                    if not isinstance(outcome, ReplayResult):
                        report.complain(str(outcome))
                        failed += 1
                        continue
                    # Only now: when no recording can be read, not even a heading is written.
                    writer = writer or open_format(
                        self._form, stream, self._replayer.provenance, several=files > 1
                    )
                    writer.write(outcome)
                    self._draw(outcome)
            if writer is None:
                # Within the block, so that the output does not appear.
                raise click.exceptions.Exit(1)
            writer.close()
        return not failed

    def _draw(self, result: ReplayResult) -> None:
        if self._plot is None:
            return
        from edge.replay.plot import draw

        replayer = self._replayer
        draw(
            result,
            path=self._plot,
            spec=replayer.bundle.frontend,
            provenance=replayer.provenance,
            attention=replayer.attention(result),
        )
