"""The commands `edge page`, which serves the recorder's page, and `edge labels`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.archive.options import BUNDLE
from edge.errors import ConfigError
from edge.page.commands import config_option
from edge.terminal import aside

if TYPE_CHECKING:
    from edge.page.dataset.lab import Lab
    from edge.page.exporting import Settled
    from edge.page.place import Shown

__all__ = ["labels_command", "page_command"]

EXPORTS = ("manifest", "jsonl", "csv", "raven")  # of edge.page.exporting, which takes longer
FILE = click.Path(path_type=Path)
LAB_THREADS = 8  # some of which may wait for an object store
Command = Callable[..., Any]


def dataset_options(command: Command) -> Command:
    """Add the options that name a dataset instead of a recorder."""
    for option in (
        BUNDLE,
        click.option(
            "--state",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of the answers on a dataset.  [default: one of yours, by its path]",
        ),
        click.option(
            "--recordings",
            metavar="ROOT",
            multiple=True,
            help="Folder, or place in an object store, whose recordings may be opened for their "
            "sound; may be given more than once.",
        ),
        click.option(
            "--dataset", type=FILE, help="Look at this dataset of `edge archive`, not a recorder."
        ),
    ):
        command = option(command)
    return command


@click.command("page")
@config_option
@dataset_options
@click.option("--address", default="127.0.0.1", show_default=True, help="Where it is served.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=9619, show_default=True, help="Its port."
)
@click.option("--cert", "cert_file", type=FILE, help="Certificate for TLS, PEM; with --key.")
@click.option("--key", "key_file", type=FILE, help="Its private key, PEM.")
@click.option("--set-password", is_flag=True, help="Ask for a password, keep its hash, and end.")
def page_command(
    *,
    address: str,
    port: int,
    cert_file: Path | None,
    key_file: Path | None,
    set_password: bool,
    **chosen: Any,
) -> None:
    """Serve a page to look at what was heard, and to say what it is."""
    from edge.page.afresh import serve_afresh
    from edge.page.place import Place
    from edge.page.server import PASSWORD_FILE, Served, serve

    lab = _lab(**chosen)
    place = _place(lab, chosen["file"])
    password_file = place.labels.parent / PASSWORD_FILE
    if set_password:
        from edge.page.access import write_password

        write_password(password_file, _asked())
        aside(f"{password_file}: the password is set; start the page again to use it")
        return
    served = Served(address=address, port=port, cert_file=cert_file, key_file=key_file)
    if isinstance(place, Place):
        serve_afresh(place, served)
    if lab is not None:
        served = replace(served, threads=LAB_THREADS)
        aside(f"reading {lab.places.dataset}; answers are kept in {place.labels.parent}")
        lab.follow(aside)
    serve(lab or place, served, say=aside)


def _asked() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@click.group("labels")
def labels_command() -> None:
    """What people said of events on the page."""


@labels_command.command("export")
@config_option
@dataset_options
@click.option("--format", "form", type=click.Choice(EXPORTS), default="manifest", show_default=True)
@click.option("--out", metavar="FILE", help="A file instead of the screen.")
@click.option("--copy", is_flag=True, help="Copy the clips beside FILE, which then names those.")
def export_command(*, form: str, out: str | None, copy: bool, **chosen: Any) -> None:
    """Write the answers: a table that `edge-train adapt` reads, CSV, or Raven's selections."""
    from edge.page.answers import Answers
    from edge.page.exporting import copy_clips, export
    from edge.page.late_clips import fetch_late_clips
    from edge.replay.output import text_output

    if copy and out is None:
        raise ConfigError("needs --out, beside which the clips are put", key="--copy")
    lab = _lab(**chosen)
    if lab is not None and chosen["recordings"]:
        lab.follower.read()  # for clips that answers lack
    place = _place(lab, chosen["file"])
    answers = Answers(place.labels)
    fetch_late_clips(answers, place)
    folder = Path(out).resolve().parent if out is not None and copy else None
    with text_output(out) as stream:
        agreed = export(answers, stream, form, clips=Path("clips") if copy else None)
        if folder is not None:
            copy_clips(answers, agreed, folder / "clips")
    answers.close()
    aside(_words(agreed))


def _place(lab: Lab | None, file: Path | None) -> Shown:
    """Return the place of a dataset, or of a recorder; raises `ConfigError`."""
    from edge.page.place import place_of

    return place_of(file) if lab is None else lab.place([], None)


def _lab(
    *,
    file: Path | None,
    dataset: Path | None,
    recordings: tuple[str, ...],
    state: Path | None,
    bundle: str | None,
) -> Lab | None:
    """Return the dataset that is asked for, None where it is a recorder."""
    if dataset is None:
        for key, given in (("--recordings", recordings), ("--state", state), ("--bundle", bundle)):
            if given:
                raise ConfigError("is for --dataset", key=key)
        return None
    if file is not None:
        raise ConfigError("does not go with --dataset", key="--config", value=file)
    from edge.page.dataset.lab import Lab, dataset_places

    return Lab(dataset_places(dataset, state, bundle=bundle), recordings)


def _words(agreed: Settled) -> str:
    parts = [f"{agreed.answers} answers teach"]
    if agreed.differing:
        parts.append(f"people differ about {agreed.differing} events, which are left out")
    if agreed.without_clip:
        parts.append(f"{agreed.without_clip} have no clip")
    return "; ".join(parts)
