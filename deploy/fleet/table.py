"""The fleet as a table on a terminal, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.terminal import printable

__all__ = ["fleet_table", "show_live"]

EVERY_S = 1.0
DIGITS = 8  # of a digest
Row = Mapping[str, Any]


def fleet_table(rows: Sequence[Row], now: datetime) -> Table:
    """Return a table with a line for each recorder; whatever they say, it is only shown."""
    online = sum(row["status"] == "online" for row in rows)
    table = Table(title=f"{len(rows)} recorders, {online} online", title_justify="left", box=None)
    for name in ("recorder", "status", "version", "bundle", "head", "last seen", "listens"):
        table.add_column(name, no_wrap=True)
    table.add_column("microphone", no_wrap=True)
    for name in ("outbox", "disk free"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(row, now)
        style = "" if row["status"] == "online" and row["listening"] is not False else "bold red"
        table.add_row(*(Text(printable(cell), style=style) for cell in cells))
    return table


def show_live(rows: Callable[[], Sequence[Row]]) -> None:
    """Show the table anew each second until the person ends it."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(fleet_table(rows(), datetime.now(timezone.utc)), refresh=True)
                time.sleep(EVERY_S)
        except KeyboardInterrupt:
            return


def _cells(row: Row, now: datetime) -> list[str]:
    listens = {None: "", True: "yes", False: "NO"}[row["listening"]]
    free = row["disk_free_bytes"]
    return [
        str(row["device"]),
        _text(row["status"]),
        _text(row["version"]),
        _text(row["bundle"])[:DIGITS],
        _head(row),
        _ago(row["last_seen_utc"], now),
        listens,
        _text(row["microphone"]),
        _text(row["outbox_messages"]),
        f"{free / 1e9:.1f} GB" if isinstance(free, int | float) else "",
    ]


def _head(row: Row) -> str:
    """Return the head in use, and what is to be known of it."""
    head = _text(row["head"])[:DIGITS]
    order = row["order"] if isinstance(row["order"], Mapping) else {}
    if order.get("outcome") in ("went_back", "refused"):
        words = f"{order['outcome']}: {order.get('reason')}".replace("_", " ")
        return f"{head} ({words})".strip()
    return f"{head} (on trial)" if row["on_trial"] else head


def _text(value: object) -> str:
    return "" if value is None else str(value)[:60]


def _ago(time_utc: object, now: datetime) -> str:
    if not isinstance(time_utc, str):
        return ""
    seconds = (now - datetime.fromisoformat(time_utc)).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
