"""The command line `edge`: parses, calls, and ends with one line and an exit status.

Heavy modules are imported by the commands that need them, so that `edge --help` is quick.
Exit statuses: 0 done; 1 a recording or the bundle was at fault; 2 an option was.
"""

from __future__ import annotations

import signal
import sys

if sys.argv[1:2] == ["run"]:
    # Before all other imports: until `edge run` can take it for a command, the signal to read the
    # configuration again has nothing to say, and must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.archive.asking_command import archive_command
from edge.errors import AudioError, one_line
from edge.notify.command import notify_command
from edge.page.commands import clips_command, detections_command, status_command
from edge.page.serving_commands import labels_command, page_command
from edge.replay.command import replay_command
from edge.replay.options import OCCURRENCE
from edge.terminal import FiniteRange, OneLineErrors

if TYPE_CHECKING:
    from edge.recorder.check import Finding
    from edge.sources.portaudio import AudioSystem

__all__ = ["main"]

NUMERIC_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NO_INPUTS = (
    "is a microphone plugged in (`cat /proc/asound/cards` lists the sound cards), may this user "
    "open it (a member of the group audio), and does a sound server run where one is meant to?"
)
Command = Callable[..., Any]


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-monitor", prog_name="edge")
def main() -> None:
    """Named animals and honest unknowns, from recordings and microphones."""
    signal.signal(signal.SIGTERM, _terminate)
    for variable in NUMERIC_THREADS:
        # Several threads make these small matrices slower; this counts only before numpy is
        # imported.
        os.environ.setdefault(variable, "1")


for command in (
    replay_command,
    archive_command,
    detections_command,
    status_command,
    clips_command,
    page_command,
    labels_command,
    notify_command,
):
    main.add_command(command)


def _bundle_option(command: Command) -> Command:
    text = "Bundle to use instead of the embedded default: folder, name or TRUNK+HEAD."
    return click.option("--bundle", metavar="BUNDLE", help=text)(command)


def _config_option(command: Command) -> Command:
    text = "Configuration; without it, every key at its default."
    path = click.Path(path_type=Path)
    return click.option("--config", "file", type=path, help=text)(command)


@main.command()
@_bundle_option
def info(bundle: str | None) -> None:
    """Say what a bundle is, and check that it is whole."""
    from edge.bundle import load_bundle
    from edge.info import describe

    for line in describe(load_bundle(_bundle_path(bundle))):
        click.echo(line)


@main.command()
@_bundle_option
@click.option("--lat", type=FiniteRange(-90, 90), required=True, help="Degrees north.")
@click.option("--lon", type=FiniteRange(-180, 180), required=True, help="Degrees east.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), required=True, help="2026-05-01")
@OCCURRENCE
def species(bundle: str | None, lat: float, lon: float, date: datetime, occurrence: float) -> None:
    """List the species that a bundle expects at a place, the likeliest first."""
    from edge.bundle import load_bundle
    from edge.detect.place import place_of, place_species

    loaded = load_bundle(_bundle_path(bundle))
    expected = place_species(loaded, place_of(lat, lon, occurrence=occurrence), key="--bundle")
    assert expected is not None
    names = {label.label: label for label in loaded.labels}
    for label, probability in expected.at(date):
        known = names[label]
        click.echo(f"{probability:.2f}  {label}  {known.common_name}  ({known.scientific_name})")


@main.command()
@_config_option
def run(file: Path | None) -> None:
    """Listen to a microphone until stopped; SIGHUP reads the configuration again."""
    from edge.recorder.daemon import run

    run(file)


@main.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@click.pass_obj
def check(sound: AudioSystem | None, file: Path | None, as_json: bool) -> None:
    """Say all that would keep a recorder from working.

    It looks at the configuration and all that `edge run` opens: device, model, disk, store, page
    of metrics and broker.
    """
    from edge.recorder.check import check
    from edge.sources.portaudio import PortAudio

    faults = 0
    for finding in check(file, audio=sound or PortAudio()):
        click.echo(json.dumps(finding.as_mapping(), allow_nan=False) if as_json else _line(finding))
        faults += finding.fault is not None
    if faults:
        raise click.exceptions.Exit(1)


def _line(finding: Finding) -> str:
    if finding.fault is None:
        return f"{'warn' if finding.warns else 'ok':5}  {finding.subject}: {finding.detail}"
    return f"FAULT  {finding.subject}: {one_line(finding.text)}"


@main.command()
@click.pass_obj
def devices(sound: AudioSystem | None) -> None:
    """List the audio inputs, by the names that `audio.device` takes."""
    from edge.sources.portaudio import PortAudio

    found = (sound or PortAudio()).devices()
    if not found:
        raise AudioError("no audio input on this machine", suggestion=NO_INPUTS)
    for device in found:
        card = f"  card {device.card}" if device.card else ""
        default = "  (default)" if device.default else ""
        facts = f"{device.channels_text}  {device.sample_rate_hz} Hz{card}{default}"
        click.echo(f"{device.stable_name}  {facts}")


@main.command()
@_bundle_option
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs of which the median is shown.",
)
@click.option(
    "--minutes",
    type=FiniteRange(min=0.5),
    default=10.0,
    show_default=True,
    help="Audio to synthesise.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Recording on which BirdNET is compared with its own program; else the demonstration.",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder on whose recordings the detections of both are held against each other.",
)
@click.option(
    "--marked",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with recordings and marks.csv: measure how far events are off, and nothing else.",
)
def bench(
    bundle: str | None,
    runs: int,
    minutes: float,
    file: Path | None,
    recordings: Path | None,
    marked: Path | None,
) -> None:
    """Measure front end, network and replay on one core of this machine."""
    from edge.bench.event_times import event_times
    from edge.bench.report import report

    path = _bundle_path(bundle)
    lines = report(path, runs=runs, minutes=minutes, file=file, recordings=recordings)
    for line in lines if marked is None else event_times(path, marked):
        click.echo(line)


def _bundle_path(bundle: str | None) -> Path:
    from edge.bundle.places import named_bundle
    from edge.models import default_bundle_path

    return named_bundle(bundle) if bundle is not None else default_bundle_path()


def _terminate(*_: object) -> None:
    """End as by an exception, so that temporary files are removed."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
