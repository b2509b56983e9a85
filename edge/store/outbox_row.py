"""A message that waits to be sent, as it comes out of the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge.store.payloads import parsed

__all__ = ["COLUMNS", "MESSAGE_KINDS", "Kind", "OutboxRow", "row_of"]

Kind = Literal["detection", "effort", "health"]
MESSAGE_KINDS: tuple[Kind, ...] = get_args(Kind)
COLUMNS = "seq, kind, key, payload, offset_us, stored_us, run"


@dataclass(frozen=True, kw_only=True)
class OutboxRow:
    """One message to send; the older of two has the smaller `seq`.

    `label` is the species of a detection. `stored_s` is the monotonic time of storing, None for a
    row of an earlier process. `offset_us` dates the payload: another one makes it another message.
    """

    seq: int
    kind: Kind
    key: str
    payload: str
    label: str | None
    offset_us: int
    stored_s: float | None


def row_of(values: tuple[Any, ...], *, run: str) -> OutboxRow | None:
    """Return the row with these values of the columns `COLUMNS`, None where damage has spoilt it.

    `run` is this process.
    """
    seq, kind, key, payload, offset_us, stored_us, wrote = values
    content = parsed(payload)
    sound = kind in MESSAGE_KINDS and isinstance(offset_us, int) and _is_text(key)
    if content is None or not sound:
        return None
    label = content.get("label", 0) if kind == "detection" else None
    if not (label is None or isinstance(label, str)):
        return None
    ours = wrote == run and isinstance(stored_us, int)
    return OutboxRow(
        seq=seq,
        kind=kind,
        key=key,
        payload=payload,
        label=label,
        offset_us=offset_us,
        stored_s=stored_us / 1e6 if ours else None,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
