"""How a recorder itself does: what waits for the broker, and the room on its disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from edge.clock import rfc3339
from edge.errors import StoreError
from edge.store.store import Store

__all__ = ["EVERY_S", "state_payload"]

EVERY_S = 300.0


def state_payload(
    store: Store,
    sink: str,
    *,
    device: str,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> dict[str, Any] | None:
    """Return what `state` says; None while the store cannot be read.

    The disk is that of the store; a store in memory has none.
    """
    try:
        messages, size = store.depth(sink)
    except StoreError:
        return None
    disk = _disk(store)
    return {
        "schema_version": 1,
        "device": device,
        "time_utc": rfc3339(now()),
        "outbox_messages": messages,
        "outbox_bytes": size,
        **({} if disk is None else {"disk_free_bytes": disk.free, "disk_bytes": disk.total}),
    }


def _disk(store: Store) -> Any:
    if not store.path.is_file():
        return None
    try:
        return shutil.disk_usage(store.path.parent)
    except OSError:
        return None
