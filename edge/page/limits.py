"""How many clients the page has at once, and for how long one may say nothing."""

from __future__ import annotations

__all__ = ["CONNECTIONS", "IDLE_S"]

CONNECTIONS = 50
IDLE_S = 60
