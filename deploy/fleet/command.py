"""The commands `edge-deploy send` and `edge-deploy fleet`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from deploy.broker import broker_options, broker_settings, connected
from deploy.fleet.outgoing import HOLDS_DAYS, Outgoing, outgoing_head
from deploy.fleet.recorders import Fleet
from edge.bundle.order import DEVICE
from edge.config.sections import MqttConfig
from edge.errors import ConfigError
from edge.terminal import FiniteRange, aside, printable, warn

__all__ = ["fleet_command", "send_command"]

QUIET_S = 1.0  # what is retained comes at once
MOST_S = 30.0
DEAF = "takes no heads: its configuration has no heads.broker: true, or its program is older"


@click.command("send")
@click.argument("head", type=click.Path(path_type=Path))
@click.option("--to", "devices", multiple=True, metavar="DEVICE", help="Who is to use it.")
@click.option("--all", "everybody", is_flag=True, help="All recorders that the broker knows.")
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="Private key to sign the order with, one that the recorders trust.",
)
@broker_options
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Write order and head into this folder, of a memory stick or a web server, instead of "
    "sending them over a broker.",
)
@click.option(
    "--days",
    type=FiniteRange(0.01, 3650),
    default=30.0,
    show_default=True,
    help="How long the broker keeps it for recorders that are away.",
)
@click.option(
    "--expires",
    "holds_days",
    type=FiniteRange(0.01, 3650),
    default=HOLDS_DAYS,
    show_default=True,
    help="Days until when the order holds; recorders refuse it afterwards.",
)
@click.option(
    "--wait",
    "wait_s",
    type=FiniteRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the recorders' answers.",
)
def send_command(**asked: Any) -> None:
    """Send HEAD, which is signed, to recorders that trust its key.

    HEAD is a folder, a name or TRUNK+HEAD, of 400 kB at most. Each recorder verifies and tries it,
    uses it from the next window on, and goes back by itself when it fails within its first hour.
    What became of it is printed for each; the exit status is 1 where one has refused.
    """
    _send(SendRequest(**asked))


@dataclass(frozen=True, kw_only=True)
class SendRequest:
    """The options of `edge-deploy send`."""

    head: Path
    devices: tuple[str, ...]
    everybody: bool
    key: Path
    broker: str | None
    config: Path | None
    folder: Path | None
    days: float
    holds_days: float
    wait_s: float


def _send(asked: SendRequest) -> None:
    if asked.everybody == bool(asked.devices):
        raise click.UsageError("Say --to DEVICE, which may come several times, or --all.")
    for device in asked.devices:
        if not DEVICE.fullmatch(device):
            raise ConfigError("is no name of a recorder", key="--to", value=device)
    if asked.folder is not None:
        for file in _outgoing(asked, asked.devices or [""]).write(asked.folder):
            click.echo(f"{file}: is written")
    elif not _sent(asked, broker_settings(asked.broker, asked.config)):
        sys.exit(1)


def _outgoing(asked: SendRequest, devices: Sequence[str]) -> Outgoing:
    return outgoing_head(asked.head, asked.key, devices, days=asked.holds_days)


def _sent(asked: SendRequest, settings: MqttConfig) -> bool:
    """Send it over the broker, and print the answers; return whether nobody has refused."""
    fleet = Fleet(settings.topic_prefix)
    with connected(settings, fleet.message) as broker:
        broker.subscribe(*fleet.topics)
        fleet.wait_until_quiet(QUIET_S, most_s=MOST_S)
        known = fleet.heads()
        for device in sorted(set(asked.devices) - known.keys()):
            warn(f"{device}: has not announced itself on this broker; the order waits for it")
        everybody = sorted(filter(DEVICE.fullmatch, known))
        outgoing = _outgoing(asked, asked.devices or everybody)
        days = min(asked.days, asked.holds_days)  # longer, it would only be refused
        broker.publish(outgoing.messages(broker.prefix), days=days)
        aside(f"order {outgoing.number}: sent to {len(outgoing.orders)} recorders")
        return _answers(fleet, outgoing, asked.wait_s)


def _answers(fleet: Fleet, outgoing: Outgoing, wait_s: float) -> bool:
    """Print what each recorder answers; return whether none has refused."""
    open_ones, sound, end_s = set(outgoing.orders), True, time.monotonic() + wait_s
    while open_ones and time.monotonic() < end_s:
        heads = fleet.heads()
        for device in sorted(open_ones & heads.keys()):
            answer = _answer(heads[device], outgoing.number)
            if answer is not None:
                open_ones.discard(device)
                sound = sound and answer == "taken"
                click.echo(printable(f"{device}: {answer}"))
        time.sleep(0.1)
    if wait_s:
        heads = fleet.heads()
        for device in sorted(open_ones):
            deaf = device in heads and not heads[device]
            click.echo(f"{device}: {DEAF if deaf else 'has not answered yet'}")
    return sound


def _answer(head: Mapping[str, Any], number: int) -> str | None:
    """Return what a recorder says of the order with this number, None while it says nothing."""
    for key in ("last", "refused"):
        said = head.get(key)
        if isinstance(said, Mapping) and said.get("number") == number:
            if key == "last" and said.get("outcome") in ("taken", "proven"):
                return "taken"
            words = str(said.get("outcome", "refused")).replace("_", " ")
            return f"{words}, {said.get('reason')}: {str(said.get('text'))[:500]}"
    return None


@click.command("fleet")
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, and end.")
def fleet_command(broker: str | None, config: Path | None, as_json: bool) -> None:
    """Show all recorders on a broker: what they run, and how they do.

    On a terminal it stays and shows what changes, until Ctrl-C; else it prints a table once.
    """
    from deploy.fleet.table import fleet_table, show_live

    settings = broker_settings(broker, config)
    fleet = Fleet(settings.topic_prefix)
    with connected(settings, fleet.message) as connection:
        connection.subscribe(*fleet.topics)
        fleet.wait_until_quiet(QUIET_S, most_s=MOST_S)
        if as_json:
            click.echo(json.dumps(fleet.rows(), indent=1))
        elif sys.stdout.isatty():
            show_live(fleet.rows)
        else:
            from rich.console import Console

            Console(width=160).print(fleet_table(fleet.rows(), datetime.now(timezone.utc)))
