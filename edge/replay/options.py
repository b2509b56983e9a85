"""The options of `edge replay`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import click

from edge.replay.formats import FORMATS
from edge.terminal import FiniteRange

__all__ = [
    "BACKENDS",
    "OCCURRENCE",
    "export_options",
    "given_options",
    "judging_options",
    "model_options",
    "replay_options",
]

BACKENDS = ("auto", "tensorrt", "cuda", "cpu")  # of edge.detect.engines, which takes long to import
MOST_TOP = 5  # as many as a detection carries
Command = Callable[..., Any]

OCCURRENCE = click.option(
    "--occurrence",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.03,
    show_default=True,
    help="How likely a species must be at the place in the week to be expected.",
)
START = click.option(
    "--start",
    metavar="RFC3339",
    help="When the recording starts, e.g. 2024-05-01T05:30:00Z; of several, see --consecutive.",
)
CONSECUTIVE = click.option(
    "--consecutive",
    is_flag=True,
    help="Several recordings follow each other without a gap: --start is that of the first.",
)
HOP = click.option(
    "--hop-s",
    type=float,  # `edge.replay.settings` refuses what is no hop, NaN too
    default=1.0,
    show_default=True,
    help="Seconds from one window to the next.",
)
ZONE = click.option(
    "--timezone",
    "zone",
    metavar="ZONE",
    help="What local time means in names and metadata without a zone, e.g. Europe/Vienna.",
)
CHANNEL = click.option(
    "--channel",
    default="mix",
    show_default=True,
    metavar="N|mix|loudest",
    help="The channel that is heard: a number from 1, the mean of all, or the loudest one.",
)
# What decides which detections there are.
JUDGEMENT = (
    click.option(
        "--bundle",
        "bundles",
        metavar="BUNDLE",
        multiple=True,
        help="Folder, name or TRUNK+HEAD to use instead of the default; several judge together.",
    ),
    HOP,
    START,
    click.option("--lat", type=FiniteRange(-90, 90), help="Degrees north; with --lon."),
    click.option(
        "--lon",
        type=FiniteRange(-180, 180),
        help="Degrees east: only what lives there is named, by a bundle that knows it.",
    ),
    OCCURRENCE,
    CONSECUTIVE,
    ZONE,
    CHANNEL,
    click.option(
        "--species",
        metavar="FILE",
        help="YAML list of the species expected, or species with their months; others are unknown. "
        "With + or - before each, it changes the list of the place.",
    ),
    click.option(
        "--offlist",
        type=click.Choice(("unknown", "next")),
        default="unknown",
        show_default=True,
        help="What a species that is not expected becomes: unknown, or the next best that is.",
    ),
    click.option(
        "--language",
        metavar="CODE",
        help="Language of common names, e.g. de, where the bundle has names in it.",
    ),
    click.option(
        "--precision",
        type=FiniteRange(0, 1, min_open=True, max_open=True),
        help="As model.precision of the configuration: events from the score on that keeps it.",
    ),
    click.option(
        "--slide-s",
        type=FiniteRange(0, 60),
        default=0.0,
        help="As model.slide_s of the configuration.",
    ),
    click.option(
        "--boost",
        type=FiniteRange(1, 10),
        default=1.0,
        help="As model.boost of the configuration.",
    ),
    click.option(
        "--boost-s",
        type=FiniteRange(0, 86_400),
        default=600.0,
        help="As model.boost_s of the configuration.",
    ),
)
# What it is done with.
MACHINE = (
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Processes; files are shared among them.",
    ),
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="auto",
        show_default=True,
        help="What runs the network.",
    ),
    click.option(
        "--engines",
        metavar="DIR",
        help="Folder of compiled engines.  [default: engines, below $CACHE_DIRECTORY]",
    ),
)
# What is written of it, and where, also of what was found before.
WRITTEN = (
    click.option(
        "--out",
        metavar="PATH",
        help="File to write instead of standard output; appears only when complete. A folder with "
        "--per-file.",
    ),
    click.option(
        "--per-file",
        is_flag=True,
        help="One output for each recording, beside it or below the folder --out.",
    ),
    click.option("--overwrite", is_flag=True, help="Let --per-file replace files that are there."),
    click.option(
        "--resume", is_flag=True, help="Let --per-file leave out recordings whose file is there."
    ),
    click.option(
        "--min-score",
        type=FiniteRange(0, 1),
        default=0.0,
        help="Leave out named detections with a lower score; unknown sounds stay.",
    ),
    click.option(
        "--top",
        type=click.IntRange(1, MOST_TOP),
        help="Columns for so many best labels and their scores, with --format csv or raven.",
    ),
)
OUTPUT = (
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Form of the output.",
    ),
    *WRITTEN,
    click.option(
        "--plot",
        metavar="PICTURE",
        help="Also draw the spectrogram of a single recording with its detections: a .png, .jpg, "
        ".svg or .pdf.",
    ),
)


def replay_options(command: Command) -> Command:
    """Give a command all of these options, in this order."""
    return given_options(command, (*JUDGEMENT, *MACHINE, *OUTPUT))


def model_options(command: Command) -> Command:
    """Give a command the options that decide what is detected in any recording, and by what."""
    of_one_recording = (START, CONSECUTIVE)
    judgement = (option for option in JUDGEMENT if option not in of_one_recording)
    return given_options(command, (*judgement, *MACHINE))


def judging_options(command: Command) -> Command:
    """Give a command the options of how windows are judged that were heard before."""
    of_hearing = (START, CONSECUTIVE, HOP, ZONE, CHANNEL)
    judgement = (option for option in JUDGEMENT if option not in of_hearing)
    return given_options(command, (*judgement, *MACHINE[1:]))


def export_options(command: Command) -> Command:
    """Give a command the options of what is written, and where."""
    return given_options(command, WRITTEN)


def given_options(command: Command, options: Sequence[Command]) -> Command:
    """Give a command `options`, in this order."""
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
