"""The topics of one recorder: everything it publishes is below `PREFIX/DEVICE`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.store.outbox import OutboxRow

__all__ = ["Topics", "slug"]


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Names of the topics below `base`."""

    base: str

    @property
    def status(self) -> str:
        """Where a recorder is online, stopped, or offline by its will."""
        return f"{self.base}/status"

    @property
    def info(self) -> str:
        """Where it says what it runs."""
        return f"{self.base}/info"

    @property
    def state(self) -> str:
        """Where it says what waits for the broker, and what room its disk has."""
        return f"{self.base}/state"

    @property
    def today(self) -> str:
        """Where it says what it has found since midnight, for Home Assistant."""
        return f"{self.base}/today"

    @property
    def check(self) -> str:
        """Where `edge check` tries what the broker lets it do."""
        return f"{self.base}/check"

    def of(self, row: OutboxRow) -> str:
        """Return the topic of a row: its kind, and for a detection its label."""
        if row.kind != "detection":
            return f"{self.base}/{row.kind}"
        return f"{self.base}/detection/{slug(row.label)}"


def slug(label: str | None) -> str:
    """Return the level of a topic for a label: lower-case letters, digits and underscores.

    None is `unknown`, and nothing else is.
    """
    if label is None:
        return "unknown"
    plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return plain if plain not in ("", "unknown") else f"label_{plain}".rstrip("_")
