"""The folder of the heads that a recorder has taken: each whole, in a folder named by its digest.

A power cut at any moment leaves the old one in use or the new one: a head is on the disk with all
its files before the one file that names it is replaced.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.bundle.packed import unpack_head
from edge.config.config import Config
from edge.errors import EdgeError
from edge.files import replacing_folder
from edge.heads.state import HeadState, read_state, write_state

__all__ = ["Shelf", "shelf_of"]

STATE = "state.json"
COPY = "sent-heads.json"  # beside the store, on another disk perhaps
# Of the folder of a head, and of one that was being written: nothing else is ever removed.
OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{40}\.[0-9a-f]{8}")


def shelf_of(config: Config) -> Shelf:
    """Return the shelf of a recorder."""
    return Shelf(config.heads.kept, copy=config.store.path.with_name(COPY))


class Shelf:
    """Heads in `folder`, and which of them is in use, with a copy of that. One thread only."""

    def __init__(self, folder: Path, *, copy: Path) -> None:
        self.folder = folder
        self._copy = copy
        self.state = read_state(folder / STATE, copy)

    def place(self, head: str) -> Path:
        """Return the folder of the head with that digest, whether or not it is there."""
        return self.folder / head

    def put(self, head: str, packed: bytes, check: Callable[[Path], None]) -> None:
        """Keep the head in `packed`, once `check` finds nothing wrong with its folder.

        One that is there and sound stays as it is. Raises what `check` raises, `HeadRefusedError`
        and OSError.
        """
        place = self.place(head)
        if self._is_sound(place, check):
            return
        with replacing_folder(place, durable=True) as staging:
            unpack_head(packed, staging)
            check(staging)

    def _is_sound(self, place: Path, check: Callable[[Path], None]) -> bool:
        if not place.exists():
            return False
        try:
            check(place)
        except (EdgeError, OSError):  # whatever is wrong with it, it is written anew
            return False
        return True

    def note(self, **changes: Any) -> HeadState:
        """Change the state, on the disk before it is returned; raises OSError."""
        state = self.state.model_copy(update=changes)
        write_state(self.folder / STATE, self._copy, state)
        self.state = state
        return state

    def remove_others(self) -> None:
        """Remove all heads but the one in use and the one before."""
        kept = {self.state.chosen, self.state.before}
        with contextlib.suppress(OSError):  # not there, or read-only: they lie there, and no more
            for path in self.folder.iterdir():
                if OURS.fullmatch(path.name) and path.name not in kept and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
