"""What is missing of the ledger between the file and the rows that were kept in memory since.

Where the file cannot be used at the start, nobody can look up to when its ledger goes.
"""

from __future__ import annotations

from datetime import timedelta

from edge.clock import EPOCH, Clock
from edge.recorder.backlog import WaitingMinute
from edge.store.effort import unknown_minute
from edge.store.ledger import LedgerEnd, find_begin, find_end
from edge.store.store import Dating, Store

__all__ = ["unentered"]


def unentered(file: Store, memory: Store, *, device: str) -> list[WaitingMinute]:
    """Return what is to be entered into `file` before the rows of `memory`, oldest first.

    It is the minute that a killed recorder had begun, and the time from then on of which nothing is
    known. Raises `StoreError`.
    """
    end, last = find_end(file)
    begin = find_begin(memory)
    found = []
    if last is not None:
        found.append(
            WaitingMinute(
                minute=last.minute,
                stream=last.stream,
                clock=last.clock,
                dating=last.dating,
                device=device,
            )
        )
    if end is not None and begin is not None:
        found += _unknown(end, *begin, device=device)
    return found


def _unknown(end: LedgerEnd, begin: LedgerEnd, rate_hz: int, *, device: str) -> list[WaitingMinute]:
    dating = Dating(
        boot_id=begin.boot_id, offset_us=begin.offset_us, synced=begin.synced, uncertainty_s=0.0
    )
    samples = round((end.until_us(begin.end_us, dating) or 0) * rate_hz / 1e6)
    if samples <= 0:
        return []
    start = EPOCH + timedelta(microseconds=begin.end_us - round(samples * 1e6 / rate_hz))
    clock = Clock(
        start_utc=start,
        sample_rate_hz=rate_hz,
        source="system",
        synced=begin.synced,
        uncertainty_s=0.0,
    )
    stream = f"{device}|{begin.boot_id}|{begin.end_us}|before"
    return [
        WaitingMinute(
            minute=unknown_minute(samples, rate_hz),
            stream=stream,
            clock=clock,
            dating=dating,
            device=device,
        )
    ]
