"""The end of the ledger: the minute that is not over, and where the next stream goes on from.

A minute is sent once it is over. Until then it stands in the ledger as far as it is known, under a
key of its own, and is replaced every few seconds, so that a kill costs that much of the ledger and
no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge.clock import EPOCH, Clock
from edge.store.dating import Dating, time_of
from edge.store.effort import FATES, EffortMinute
from edge.store.outcomes import COLUMNS as WINDOWS
from edge.store.outcomes import counts_in

if TYPE_CHECKING:
    from edge.store.store import Store

__all__ = [
    "LedgerEnd",
    "OpenMinute",
    "find_begin",
    "find_end",
    "forget_open",
    "ledger_end",
    "note_minute",
]

# Stream and uncertainty are in the key of an open minute: `STREAM/open/UNCERTAINTY_S`.
OPEN = "/open/"
EVENTS = ("clips_withheld", "below_precision")
COUNTS = ("heard_s", "lost_s", "gated_s", "dropped_s", "private_s", *EVENTS, *WINDOWS)
COLUMNS = "start_utc, start_sample, end_sample, sample_rate_hz, boot_id, offset_us, synced"
FIRST = """
SELECT start_utc, sample_rate_hz, boot_id, offset_us, synced FROM effort ORDER BY number LIMIT 1
"""
LAST = f"SELECT {COLUMNS}, key, {', '.join(COUNTS)} FROM effort ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, kw_only=True)
class LedgerEnd:
    """Up to when the ledger goes: microseconds since 1970, and how that is dated."""

    end_us: int
    boot_id: str
    offset_us: int
    synced: bool

    def until_us(self, now_us: int, dating: Dating) -> int | None:
        """Return the microseconds from here to `now_us`, dated by `dating`; None: not known.

        Within one start of the machine both are tied to the time since then, so it does not matter
        how the clock was set in between. Between two starts there is only the clock.
        """
        if self.boot_id == dating.boot_id:
            return now_us - dating.offset_us - (self.end_us - self.offset_us)
        return now_us - self.end_us if self.synced and dating.synced else None


@dataclass(frozen=True, kw_only=True)
class OpenMinute:
    """A minute that a killed recorder had begun, of `stream`."""

    stream: str
    minute: EffortMinute
    clock: Clock
    dating: Dating


def ledger_end(end_utc: datetime, dating: Dating) -> LedgerEnd:
    """Return the end of a ledger whose last minute ends at `end_utc`, dated by `dating`."""
    return LedgerEnd(
        end_us=round((end_utc - EPOCH).total_seconds() * 1e6),
        boot_id=dating.boot_id,
        offset_us=dating.offset_us,
        synced=dating.synced,
    )


def note_minute(
    store: Store, minute: EffortMinute, *, start_utc: str, stream: str, dating: Dating
) -> None:
    """Note what is known of the minute that is not over; raises `StoreError`."""
    key = f"{stream}{OPEN}{dating.uncertainty_s}"

    def write(db: Any, history: Any) -> None:
        forget_open(db, stream)
        history.add_minute(key, minute, start_utc=start_utc, dating=dating)

    store.change(write)


def forget_open(db: Any, stream: str) -> None:
    """Remove the note of a stream's open minute, in the present transaction."""
    # From the key without an uncertainty to the one after all of them: one step in the index.
    after = OPEN[:-1] + chr(ord("/") + 1)
    db.execute("DELETE FROM effort WHERE key > ? AND key < ?", (stream + OPEN, stream + after))


def find_end(store: Store) -> tuple[LedgerEnd | None, OpenMinute | None]:
    """Return where the ledger ends, and its last minute where that is still open.

    None and None where it has not begun. Raises `StoreError`.
    """
    row = store.change(lambda db, history: db.execute(LAST).fetchone())
    if row is None:
        return None, None
    try:
        return _understood(dict(zip((*COLUMNS.split(", "), "key", *COUNTS), row, strict=True)))
    except (ValueError, TypeError, AttributeError, ZeroDivisionError, OverflowError):
        return None, None  # damage has made something else of it


def find_begin(store: Store) -> tuple[LedgerEnd, int] | None:
    """Return where the ledger begins, and the rate of its first stream in Hz; None: nowhere.

    Raises `StoreError`.
    """
    row = store.change(lambda db, history: db.execute(FIRST).fetchone())
    if row is None:
        return None
    start_utc, rate_hz, boot_id, offset_us, synced = row
    dating = Dating(boot_id=boot_id, offset_us=offset_us, synced=bool(synced), uncertainty_s=0.0)
    return ledger_end(time_of(start_utc), dating), rate_hz


def _understood(row: Mapping[str, Any]) -> tuple[LedgerEnd, OpenMinute | None]:
    """Return the end of a row of the ledger, and the minute it is if that is open."""
    start_utc = time_of(row["start_utc"])
    rate_hz = row["sample_rate_hz"]
    stream, is_open, uncertainty_s = row["key"].partition(OPEN)
    dating = Dating(
        boot_id=str(row["boot_id"]),
        offset_us=int(row["offset_us"]),
        synced=bool(row["synced"]),
        uncertainty_s=float(uncertainty_s or 0),
    )
    clock = Clock(
        start_utc=start_utc,
        sample_rate_hz=rate_hz,
        source="system",
        synced=dating.synced,
        uncertainty_s=dating.uncertainty_s,
    )
    end = ledger_end(clock.utc(row["end_sample"] - row["start_sample"]), dating)
    if not is_open:
        return end, None
    # A clock's sample 0 is the stream's, a row's time that of its start.
    clock = Clock(**{**vars(clock), "start_utc": clock.utc(-row["start_sample"])})
    samples = {fate: round(row[f"{fate}_s"] * rate_hz) for fate in FATES if fate != "unknown"}
    bounds = {name: row[name] for name in ("start_sample", "end_sample", "sample_rate_hz")}
    events = {name: int(row[name]) for name in EVENTS}
    minute = EffortMinute(**bounds, **samples, **events, windows=counts_in(row))
    return end, OpenMinute(stream=stream, minute=minute, clock=clock, dating=dating)
