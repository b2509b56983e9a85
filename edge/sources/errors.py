"""What happens between a file and its decoder."""

from __future__ import annotations

__all__ = ["DecodingError"]


class DecodingError(Exception):
    """The decoder cannot go on; the message is its word for why.

    It stays within this room: what was decoded before counts, and the rest is missing.
    """
