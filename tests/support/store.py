"""Payloads as a recorder makes them, without a recorder."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from edge.store.dating import Dating

BOOT = "3f0c0d1e-0000-4000-8000-000000000001"
SYNCED = Dating(boot_id=BOOT, offset_us=1_700_000_000_000_000, synced=True, uncertainty_s=0.01)
UNSYNCED = Dating(boot_id=BOOT, offset_us=0, synced=False, uncertainty_s=86_400.0)


def spoil_newest(path: Path) -> None:
    """Damage the payload of the newest row that waits in the store at `path`."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            "UPDATE outbox SET payload = CAST(x'7b22ff' AS TEXT)"
            # An update may be replaced by a later one.
            " WHERE seq = (SELECT max(seq) FROM outbox WHERE key NOT LIKE '%/update')"
        )
        db.commit()


def event_id(number: int, device: str = "r1") -> str:
    return hashlib.sha256(f"{device}|{number}".encode()).hexdigest()[:32]


def payload(
    number: int, *, state: str = "end", device: str = "r1", synced: bool = True, **changed: Any
) -> dict[str, Any]:
    """A detection in the wire format; `number` decides id and place in the stream."""
    start = number * 22_050
    label = "low_hummer" if number % 3 else None
    return {
        "schema_version": 1,
        "id": event_id(number, device),
        "state": state,
        "source": device,
        "label": label,
        "common_name": "Low hummer" if label else None,
        "scientific_name": None,
        "nearest": "low_hummer",
        "score": 0.9,
        "novelty": 0.1 if label else 0.9,
        "top": [{"label": "low_hummer", "score": 0.9}],
        "start_sample": start,
        "end_sample": start + 5 * 22_050,
        "peak_sample": start,
        "sample_rate_hz": 22_050,
        "start_s": float(number),
        "end_s": number + 5.0,
        "start_utc": "2024-05-01T05:30:00.000000Z",
        "end_utc": "2024-05-01T05:30:05.000000Z",
        "windows": 1,
        "health": {
            "rms_dbfs": -40.0,
            "peak_dbfs": -20.0,
            "clip_ratio": 0.0,
            "dc": 0.0,
            "dead": False,
            "stuck": False,
        },
        "clock": {
            "source": "system",
            "synced": synced,
            "uncertainty_s": 0.01 if synced else 86_400.0,
        },
        "bundle": "0" * 64,
        "config": "1" * 64,
        "code": "2" * 64,
        "device": device,
        "site": "",
        "boot_id": BOOT,
        "clip": None,
        **changed,
    }


def health(synced: bool = True) -> dict[str, Any]:
    clock = {"source": "system", "synced": synced, "uncertainty_s": 0.01}
    return {
        "time_utc": "2024-05-01T05:30:00.000000Z",
        "rms_dbfs": -40.0,
        "dead": False,
        "clock": clock,
    }
