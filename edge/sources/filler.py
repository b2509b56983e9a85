"""Bytes that were never written: the zeros of a preallocated file, the 0xFF of an erased disk."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BLOCK", "FILLER", "end_without"]

FILLER = (b"\0", b"\xff")
BLOCK = 1 << 20


def end_without(filler: bytes, read: Callable[[int, int], bytes], start: int, end: int) -> int:
    """Return the end of the bytes from `start` to `end` without those at their end that fill.

    `read` returns the bytes between two places.
    """
    while end > start:
        begin = max(start, end - BLOCK)
        kept = read(begin, end).rstrip(filler)
        if kept:
            return begin + len(kept)
        end = begin
    return end
