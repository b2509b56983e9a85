"""The command `edge notify`, which tells people of what is heard, and of faults."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import ConfigError
from edge.page.commands import config_option
from edge.terminal import printable

if TYPE_CHECKING:
    from edge.page.place import Place

__all__ = ["notify_command"]


@click.command("notify")
@config_option
@click.option("--test", "testing", is_flag=True, help="Send a message to each service, and end.")
@click.option("--dry-run", is_flag=True, help="Say what would have been told; send nothing.")
@click.option(
    "--since",
    metavar="TIME",
    default="7d",
    show_default=True,
    help="Of --dry-run: today, yesterday, 3h, 2d, a date or a time with its zone.",
)
def notify_command(*, file: Path | None, testing: bool, dry_run: bool, since: str) -> None:
    """Tell people of what is heard, and of faults, through the services that they name."""
    from edge.notify.running import rehearse, test_services
    from edge.page.place import parse_since, place_of

    if testing and dry_run:
        raise ConfigError("excludes --dry-run", key="--test")
    place = place_of(file)
    if dry_run:
        now = datetime.now(timezone.utc)
        for line in rehearse(place, since=parse_since(since, now=now, place=place), now=now):
            click.echo(printable(line))
    elif testing:
        all_taken = True
        for taken, line in test_services(place):
            all_taken = all_taken and taken
            click.echo(printable(line))
        if not all_taken:
            raise click.exceptions.Exit(1)
    else:
        _run(place)


def _run(place: Place) -> None:
    from edge.notify.running import notify

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    notify(place, ending=ending)
