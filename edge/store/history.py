"""Detections, embeddings and the effort ledger, kept in the database after they were sent.

They are bounded in bytes, and the oldest row goes first, whatever its kind. An outbox has its own
copy of what it still has to send, so the bound costs no message. Rows that damage has made
unreadable are passed over, and go when they are the oldest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edge.store.dating import UNDATABLE, Database, Dating, moved, shift_times
from edge.store.effort import FATES, EffortMinute
from edge.store.payloads import parsed
from edge.store.vectors import in_levels
from edge.types import Array

__all__ = ["ADD_LEVEL", "AT_ONCE", "BEYOND", "History"]

log = logging.getLogger(__name__)

ADD_DETECTION = """
INSERT INTO detections (number, key, id, state, payload, bytes, start_sample, end_sample,
                        boot_id, offset_us, synced)
VALUES ((SELECT next FROM history), :key, :id, :state, :payload, :bytes, :start_sample, :end_sample,
        :boot_id, :offset_us, :synced)
"""
ADD_MINUTE = """
INSERT OR IGNORE INTO effort
VALUES ((SELECT next FROM history), :key, :bytes, :start_utc, :start_sample, :end_sample,
        :sample_rate_hz, :heard_s, :lost_s, :gated_s, :dropped_s,
        :boot_id, :offset_us, :synced, 0, :private_s, :clips_withheld, :below_precision,
        :windows_label, :windows_unknown, :windows_other, :windows_nothing)
"""
UNDATED_MINUTES = """
SELECT number, start_utc, offset_us FROM effort WHERE boot_id = ? AND NOT synced AND NOT sent
"""
BEGUN_AFTER = """
SELECT number, payload FROM detections WHERE number > ? AND state = 'new' ORDER BY number LIMIT ?
"""
BEGUN_BEFORE = """
SELECT number, payload FROM detections WHERE number < ? AND state = 'new'
ORDER BY number DESC LIMIT ?
"""
DROP_MINUTES = """
DELETE FROM effort
WHERE number IN (SELECT number FROM effort WHERE number < ? ORDER BY number LIMIT ?)
"""
ADD_LEVEL = """
INSERT INTO levels (payload, boot_id, offset_us, synced) VALUES (?, ?, ?, ?)
"""
# Two days of minutes: beside the bound of the history, since they are so few.
KEEP_LEVELS = "DELETE FROM levels WHERE number <= (SELECT max(number) FROM levels) - 2880"
AT_ONCE = 500  # rows that are read in one transaction
BEYOND = 1 << 62  # above every number of a row
# What a row takes beside its text: numbers, indexes and the room that a page of the file leaves.
ROW_BYTES = 250
# Rows; a bound that was lowered is reached over several writes, none of which takes long.
PRUNED_AT_ONCE = 1000


class History:
    """The history's part of the store; the caller holds a transaction around every method.

    `bound_bytes` is what it may take now.
    """

    def __init__(self, db: Database, *, bound_bytes: int) -> None:
        self._db = db
        self._configured_bytes = bound_bytes
        self.bound_bytes = bound_bytes

    def stop_growing(self) -> None:
        """Have the history give up as much as it gets, so that the file need not grow."""
        self.bound_bytes = min(self.bound_bytes, self.size_bytes)

    def resume_growing(self) -> None:
        """Return to the bound that was configured."""
        self.bound_bytes = self._configured_bytes

    @property
    def size_bytes(self) -> int:
        """About how many bytes the rows take in the file."""
        return int(self._db.execute("SELECT bytes FROM history").fetchone()[0])

    def add_detection(
        self,
        key: str,
        payload: Mapping[str, Any],
        text: str,
        *,
        dating: Dating,
        embedding: Array | None = None,
        network: str = "",
    ) -> bool:
        """Keep `payload`, which is `text` as JSON, under `key`, its id and state.

        Returns False when it is known already, unless it is a later `update`.
        """
        if not self._removed_for(key, payload):
            return False
        row = {
            "key": key,
            "id": payload["id"],
            "state": payload["state"],
            "payload": text,
            "bytes": len(text.encode()) + 2 * len(key) + ROW_BYTES,
            "start_sample": payload["start_sample"],
            "end_sample": payload["end_sample"],
        }
        self._db.execute(ADD_DETECTION, {**row, **_columns(dating)})
        if embedding is not None and len(embedding):
            self._keep_embedding(payload["id"], embedding, network)
        self._prune()
        return True

    def _removed_for(self, key: str, payload: Mapping[str, Any]) -> bool:
        """Remove the row of `key` if `payload` is a later update; return whether none is left."""
        known = self._db.execute(
            "SELECT end_sample FROM detections WHERE key = ?", (key,)
        ).fetchone()
        if known is None:
            return True
        later = not isinstance(known[0], int) or payload["end_sample"] > known[0]
        if payload["state"] != "update" or not later:
            return False
        self._db.execute("DELETE FROM detections WHERE key = ?", (key,))
        return True

    def _keep_embedding(self, id: str, embedding: Array, network: str) -> None:
        # Not REPLACE, which removes without the trigger that counts.
        self._db.execute("DELETE FROM embeddings WHERE id = ?", (id,))
        levels, scale = in_levels(embedding)
        row = (id, levels.tobytes(), network, float(scale))
        self._db.execute("INSERT INTO embeddings VALUES (?, ?, ?, ?)", row)

    def add_minute(self, key: str, minute: EffortMinute, *, start_utc: str, dating: Dating) -> bool:
        """Enter a minute into the ledger; return whether it was new."""
        row = {
            "key": key,
            "bytes": 2 * len(key) + len(start_utc) + len(dating.boot_id) + ROW_BYTES,
            "start_utc": start_utc,
            "start_sample": minute.start_sample,
            "end_sample": minute.end_sample,
            "sample_rate_hz": minute.sample_rate_hz,
            "clips_withheld": minute.clips_withheld,
            "below_precision": minute.below_precision,
            **{f"{fate}_s": minute.seconds(fate) for fate in FATES},
            **minute.windows.as_columns(),
        }
        added = self._db.execute(ADD_MINUTE, {**row, **_columns(dating)})
        if added.rowcount == 0:
            return False
        self._prune()
        return True

    def add_level(self, text: str, *, dating: Dating) -> None:
        """Keep a state of the microphone, the message `text`, in place of the oldest."""
        row = (text, dating.boot_id, dating.offset_us, dating.synced)
        self._db.execute(ADD_LEVEL, row)
        self._db.execute(KEEP_LEVELS)

    def redate(self, dating: Dating) -> None:
        """Correct the times of this start of the machine, where the clock was not set yet.

        What was sent stays as it was sent, and what is too damaged for it as it is.
        """
        _, damaged = shift_times(
            self._db, "detections", "number", "NOT synced AND NOT sent", dating
        )
        shift_times(self._db, "levels", "number", "NOT synced", dating)
        rows = self._db.execute(UNDATED_MINUTES, (dating.boot_id,)).fetchall()
        for number, start_utc, offset_us in rows:
            try:
                start = moved(start_utc, dating.offset_us - offset_us)
            except UNDATABLE:
                damaged.append(number)
                continue
            self._db.execute(
                "UPDATE effort SET start_utc = ?, offset_us = ?, synced = 1 WHERE number = ?",
                (start, dating.offset_us, number),
            )
        _tell_damaged(len(damaged))

    def detections(self) -> Iterator[dict[str, Any]]:
        """Return the payloads that can be read, oldest first."""
        rows = self._db.execute("SELECT payload FROM detections ORDER BY number").fetchall()
        return _readable(payload for (payload,) in rows)

    def begun(
        self, number: int, *, newest_first: bool, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """Return the first messages of events, each with its number, which grows with time.

        They are those above `number`, oldest first, or those below it, newest first.
        """
        query = BEGUN_BEFORE if newest_first else BEGUN_AFTER
        rows = self._db.execute(query, (number, limit)).fetchall()
        return [(at, content) for at, text in rows if (content := parsed(text)) is not None]

    def _prune(self) -> None:
        for _ in range(PRUNED_AT_ONCE):
            excess = self.size_bytes - self.bound_bytes
            if excess <= 0:
                return
            first = self._db.execute("SELECT min(number) FROM detections").fetchone()[0]
            minute = self._db.execute(
                "SELECT number, bytes FROM effort ORDER BY number LIMIT 1"
            ).fetchone()
            if minute is not None and (first is None or minute[0] < first):
                # Minutes are alike: as many at once as are needed, up to the next detection.
                before = minute[0] + PRUNED_AT_ONCE if first is None else first
                count = min(PRUNED_AT_ONCE, -(-excess // max(1, minute[1])))
                self._db.execute(DROP_MINUTES, (before, count))
            elif first is not None:
                self._db.execute("DELETE FROM detections WHERE number = ?", (first,))
            else:
                return


def _readable(payloads: Iterable[object]) -> Iterator[dict[str, Any]]:
    damaged = 0
    for payload in payloads:
        content = parsed(payload)
        if content is None:
            damaged += 1
        else:
            yield content
    _tell_damaged(damaged)


def _tell_damaged(count: int) -> None:
    if count:
        log.warning("%d rows of the history are damaged, and are passed over", count)


def _columns(dating: Dating) -> dict[str, Any]:
    return {"boot_id": dating.boot_id, "offset_us": dating.offset_us, "synced": dating.synced}
