"""The command line: parses, calls, maps errors to one line and an exit code.

Heavy modules are imported by the commands that need them, so that `edge --help` is quick.
Exit codes: 0 done; 1 a recording or the bundle was at fault; 2 an option was.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import ConfigError, one_line
from edge.terminal import OneLineErrors, complain

if TYPE_CHECKING:
    from edge.replay.replay import Replayer
    from edge.sources.portaudio import AudioSystem

__all__ = ["main"]

# edge.replay.formats.FORMATS, which takes long to import
FORMATS = ("table", "jsonl", "csv", "raven", "audacity", "windows")
BACKENDS = ("auto", "tensorrt", "cuda", "cpu")  # edge.detect.engines.BackendChoice, as above
REDRAW_S = 0.1  # drawing takes as long as hearing a second of audio
NUMERIC_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-monitor", prog_name="edge")
def main() -> None:
    """Named animals and honest unknowns, from recordings."""
    signal.signal(signal.SIGTERM, _terminate)
    for variable in NUMERIC_THREADS:
        # Several threads make these small matrices slower; only before numpy is imported can this
        # be said.
        os.environ.setdefault(variable, "1")


def _bundle_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--bundle", metavar="DIR", help="Bundle to use instead of the embedded default."
    )(command)


@main.command()
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
def replay(  # noqa: PLR0913 - one for each option
    *,
    paths: tuple[str, ...],
    bundles: tuple[str, ...],
    hop_s: float,
    form: str,
    out: str | None,
    start: str | None,
    species: str | None,
    workers: int,
    backend: Any,
    engines: str | None,
    plot: str | None,
    **refine: float,
) -> None:
    """Detect animals in recordings: files, or folders with all the audio below them."""
    from edge.clock import parse_start
    from edge.detect.site import read_species
    from edge.detect.smoothing import SmoothingConfig
    from edge.replay.output import refuse_to_overwrite
    from edge.replay.replay import Replayer, ReplaySettings, find_recordings
    from edge.section import section_of_options

    start_utc = parse_start(start) if start is not None else None
    expected = read_species(Path(species), key="--species") if species is not None else None
    settings = ReplaySettings(
        bundle=_bundle_path(bundles[0] if bundles else None),
        more_bundles=tuple(map(Path, bundles[1:])),
        hop_s=hop_s,
        start=start_utc,
        species=expected,
        refine=section_of_options(SmoothingConfig, refine),
        spool=form == "windows",
        backend=backend,
        engines=_engines(engines),
    )
    recordings = find_recordings(paths)
    if plot and len(recordings) > 1:
        raise ConfigError(f"--plot: draws one recording, and {len(recordings)} were given")
    refuse_to_overwrite([out, plot], [r for r in recordings if isinstance(r, str)])
    if not _write(Replayer(settings), recordings, form=form, out=out, workers=workers, plot=plot):
        raise click.exceptions.Exit(1)


def _write(
    replayer: Replayer,
    recordings: list[Any],
    *,
    form: Any,
    out: str | None,
    workers: int,
    plot: str | None,
) -> bool:
    """Hear and write all recordings; whether every one could be."""
    from edge.replay.formats import open_sink
    from edge.replay.formats.base import ReplayResult
    from edge.replay.output import text_output
    from edge.replay.replay import replay as outcomes

    failed, sink = 0, None
    with text_output(out) as stream:
        with _progress(len(recordings), streaming=out is None and form != "table") as (
            advance,
            complain,
        ):
            for done, outcome in enumerate(
                outcomes(replayer, recordings, workers=workers, progress=advance), 1
            ):
                advance(done)
                if not isinstance(outcome, ReplayResult):
                    complain(str(outcome))
                    failed += 1
                    continue
                # Only now: when no recording can be read, not even a heading is written.
                sink = sink or open_sink(
                    form, stream, replayer.provenance, several=len(recordings) > 1
                )
                sink.write(outcome)
                if plot:
                    _draw(replayer, outcome, plot)
        if sink is None:
            raise click.exceptions.Exit(1)  # within the block, so that the output does not appear
        sink.close()
    return not failed


def _draw(replayer: Replayer, result: Any, plot: str) -> None:
    from edge.replay.plot import draw

    spec, attention = replayer.bundle.frontend, replayer.attention(result)
    draw(result, path=plot, spec=spec, provenance=replayer.provenance, attention=attention)


@contextmanager
def _progress(
    files: int, *, streaming: bool
) -> Iterator[tuple[Callable[[float], None], Callable[[str], None]]]:
    """How to tell the number of files done, fractions included, and how to complain about one.

    A bar is drawn only on a terminal, and not when the results are `streaming` to that terminal
    too.
    """
    if not sys.stderr.isatty() or (streaming and sys.stdout.isatty()):
        yield (lambda done: None), complain
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[files]}"),
    )
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    # No refresh thread: the decoder mutes file descriptor 2 for moments, and half a cursor movement
    # would be lost in one.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=files, files=f"0/{files} files")
        drawn_s = 0.0

        def advance(done: float) -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= REDRAW_S:
                drawn_s = now_s
                progress.update(
                    task, completed=done, files=f"{int(done)}/{files} files", refresh=True
                )

        yield advance, lambda message: console.print(f"error: {one_line(message)}", soft_wrap=True)


@main.command()
@_bundle_option
def info(bundle: str | None) -> None:
    """Say what a bundle is, and check that it is whole."""
    from edge.bundle import load_bundle
    from edge.info import describe

    for line in describe(load_bundle(_bundle_path(bundle))):
        click.echo(line)


@main.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration; without it, every key at its default.",
)
def run(file: Path | None) -> None:
    """Listen to a microphone until stopped; SIGHUP reads the configuration again."""
    from edge.recorder.daemon import run

    run(file)


@main.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration; without it, every key at its default.",
)
@click.pass_obj
def check(sound: AudioSystem | None, file: Path | None) -> None:
    """Say everything that would keep a recorder from working: configuration, device, model, disk,
    broker.
    """
    from edge.recorder.check import check
    from edge.sources.portaudio import PortAudio

    faults = 0
    for finding in check(file, audio=sound or PortAudio()):
        if finding.fault is None:
            click.echo(f"ok     {finding.subject}: {finding.detail}")
        else:
            click.echo(f"FAULT  {finding.subject}: {one_line(finding.fault)}")
            faults += 1
    if faults:
        raise click.exceptions.Exit(1)


@main.command()
def devices() -> None:
    """List the audio inputs, by the names that `audio.device` takes."""
    from edge.sources.portaudio import PortAudio

    for device in PortAudio().devices():
        card = f"  card {device.card}" if device.card else ""
        default = "  (default)" if device.default else ""
        click.echo(
            f"{device.stable_name}  {device.channels} channels  {device.sample_rate_hz} "
            f"Hz{card}{default}"
        )


@main.command()
@_bundle_option
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs of which the median is told.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.5),
    default=10.0,
    show_default=True,
    help="Audio to synthesise.",
)
def bench(bundle: str | None, runs: int, minutes: float) -> None:
    """Measure front end, network and replay on one core of this machine."""
    from edge.bench import report

    for line in report(_bundle_path(bundle), runs=runs, minutes=minutes):
        click.echo(line)


def _bundle_path(bundle: str | None) -> Path:
    from edge.models import default_bundle_path

    return Path(bundle) if bundle is not None else default_bundle_path()


def _engines(folder: str | None) -> Path:
    from edge.config.config import load_config

    return Path(folder) if folder is not None else load_config(None).model.engines


def _terminate(*_: object) -> None:
    """End as by an exception, so that temporary files are removed."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
