"""Payloads as they are stored, and as they come back: a card may have changed any byte of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["parsed", "text_of", "written"]


def written(payload: Mapping[str, Any]) -> str:
    """Return a payload as it is stored and sent."""
    return json.dumps(payload, allow_nan=False, ensure_ascii=False)


def text_of(stored: bytes) -> str:
    """Return a text of the database; what is no UTF-8 in it becomes lone surrogates.

    sqlite3 itself would fail, and with it every query that meets this row. No text with a lone
    surrogate can be encoded, so that nothing of it leaves the program.
    """
    return stored.decode("utf-8", "surrogateescape")


def parsed(payload: object) -> dict[str, Any] | None:
    """Return the JSON object in a stored payload, None where damage has left none."""
    if not isinstance(payload, str):
        return None
    try:
        payload.encode()
        content = json.loads(payload, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _refused(constant: str) -> float:
    """Refuse NaN and the infinities, which are not JSON and never were stored."""
    raise ValueError(constant)
