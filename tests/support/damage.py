"""Files as a failing card or a stranger leaves them: cut, and with other bytes in them."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["CHANGES", "KEPT", "Changes", "damaged"]

Changes = list[tuple[float, int]]
# Bytes that are written over, each with its place as a share of the file; and how much is kept.
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5)
KEPT = st.one_of(st.just(1.0), st.floats(0, 1))


def damaged(content: bytes, changes: Changes, kept: float) -> bytes:
    result = bytearray(content)
    for place, byte in changes:
        result[int(place * len(result))] = byte
    return bytes(result[: round(kept * len(result))])
