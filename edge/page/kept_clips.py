"""Copies of the clips of events that were answered: the recorder gives up old ones for new."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from edge.files import replacing
from edge.page.clips import PlacedClip
from edge.page.owner import give_to_owner
from edge.store.events import StoredEvent

__all__ = ["KeptClips"]

MOST_BYTES = 2_000_000_000
RESERVE_BYTES = 500_000_000  # of the disk, which are the recorder's


class KeptClips:
    """The copies in `folder`, which are no more than there is room for. Any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes: int | None = None

    def keep(self, placed: PlacedClip, event: StoredEvent) -> str:
        """Copy a clip, where there is room; return its path below the folder, else ""."""
        name = f"{event.label or 'unknown'}/{placed.path.name}"
        target = self.folder / name
        with contextlib.suppress(OSError):
            if target.is_file():
                return name
            if self._bytes is None:  # once, as a cluster has hundreds of clips
                self._bytes = sum(file.stat().st_size for file in self.folder.glob("*/*"))
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.folder.parent).free
            if self._bytes < MOST_BYTES and free > RESERVE_BYTES:
                with replacing(target, durable=True) as staging:
                    shutil.copyfile(placed.path, staging)
                give_to_owner(self.folder.parent, self.folder, target.parent, target)
                self._bytes += target.stat().st_size
                return name
        return ""
