"""The commands `edge page`, which serves the recorder's page, and `edge labels`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import ConfigError
from edge.page.commands import config_option
from edge.terminal import aside

if TYPE_CHECKING:
    from edge.page.exporting import Settled

__all__ = ["labels_command", "page_command"]

EXPORTS = ("manifest", "jsonl", "csv", "raven")  # of edge.page.exporting, which takes longer
FILE = click.Path(path_type=Path)


@click.command("page")
@config_option
@click.option("--address", default="127.0.0.1", show_default=True, help="Where it is served.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=9619, show_default=True, help="Its port."
)
@click.option("--cert", "cert_file", type=FILE, help="Certificate for TLS, PEM; with --key.")
@click.option("--key", "key_file", type=FILE, help="Its private key, PEM.")
@click.option("--set-password", is_flag=True, help="Ask for a password, keep its hash, and end.")
def page_command(
    *,
    file: Path | None,
    address: str,
    port: int,
    cert_file: Path | None,
    key_file: Path | None,
    set_password: bool,
) -> None:
    """Serve a page to look at what was heard, and to say what it is."""
    from edge.page.place import place_of
    from edge.page.server import PASSWORD_FILE, Served, serve

    place = place_of(file)
    if set_password:
        from edge.page.access import write_password

        path = place.labels.parent / PASSWORD_FILE
        write_password(path, _asked())
        aside(f"{path}: the password is set; start the page again to use it")
        return
    served = Served(address=address, port=port, cert_file=cert_file, key_file=key_file)
    serve(place, served, say=aside)


def _asked() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@click.group("labels")
def labels_command() -> None:
    """What people said of events on the page."""


@labels_command.command("export")
@config_option
@click.option("--format", "form", type=click.Choice(EXPORTS), default="manifest", show_default=True)
@click.option("--out", metavar="FILE", help="A file instead of the screen.")
@click.option("--copy", is_flag=True, help="Copy the clips beside FILE, which then names those.")
def export_command(*, file: Path | None, form: str, out: str | None, copy: bool) -> None:
    """Write the answers: a table that `edge-train adapt` reads, CSV, or Raven's selections."""
    from edge.page.answers import Answers
    from edge.page.exporting import copy_clips, export
    from edge.page.late_clips import fetch_late_clips
    from edge.page.place import place_of
    from edge.replay.output import text_output

    if copy and out is None:
        raise ConfigError("needs --out, beside which the clips are put", key="--copy")
    place = place_of(file)
    answers = Answers(place.labels)
    fetch_late_clips(answers, place)
    folder = Path(out).resolve().parent if out is not None and copy else None
    with text_output(out) as stream:
        agreed = export(answers, stream, form, clips=Path("clips") if copy else None)
        if folder is not None:
            copy_clips(answers, agreed, folder / "clips")
    answers.close()
    aside(_words(agreed))


def _words(agreed: Settled) -> str:
    parts = [f"{len(agreed.answers)} answers teach"]
    if agreed.differing:
        parts.append(f"people differ about {agreed.differing} events, which are left out")
    if agreed.without_clip:
        parts.append(f"{agreed.without_clip} have no clip")
    return "; ".join(parts)
