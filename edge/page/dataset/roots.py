"""Which recordings of a dataset may be opened: those in places that the person has named.

A dataset may be a stranger's, and a path in it may be any. What is opened is below one of the
folders, or of the places in an object store, that stand on the command line, after all links.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from edge.archive.stores import is_remote
from edge.errors import AudioError, ConfigError

__all__ = ["KEY", "Roots"]

KEY = "--recordings"
CHAIN = "::"  # with which fsspec leads from one store into another


class Roots:
    """The places that may be looked into; none means that nothing is opened."""

    def __init__(self, given: Sequence[str]) -> None:
        """Raises `ConfigError` for what is neither a folder nor a place in a store."""
        self._folders: list[str] = []
        self._places: list[str] = []
        for root in given:
            if is_remote(root):
                self._places.append(_place(root))
                continue
            folder = os.path.realpath(root)
            if not os.path.isdir(folder):
                raise ConfigError("is no folder", key=KEY, value=root)
            self._folders.append(folder)

    def __bool__(self) -> bool:
        return bool(self._folders or self._places)

    def allowed(self, path: str) -> bool:
        """Return whether the recording at a path of the dataset may be opened."""
        try:
            self.opened(path)
        except AudioError:
            return False
        return True

    def opened(self, path: str) -> str:
        """Return what to open for the recording at a path; raises `AudioError`, which says why
        nothing.
        """
        if not self:
            raise AudioError(
                "The sound is in the recording, and no place of recordings was named",
                suggestion=f"start the page with {KEY} FOLDER",
            )
        found = self._in_store(path) if is_remote(path) else self._in_folder(path)
        if found is None:
            raise AudioError(
                f"The recording {path} is in none of the places that may be opened",
                suggestion=f"start the page with {KEY} for its folder",
            )
        return found

    def _in_folder(self, path: str) -> str | None:
        if "\0" in path or not os.path.isabs(path):
            return None
        try:
            real = os.path.realpath(path)
        except (OSError, ValueError):  # too long a name
            return None
        below = any(os.path.commonpath((root, real)) == root for root in self._folders)
        return real if below else None

    def _in_store(self, url: str) -> str | None:
        if CHAIN in url or not url.isprintable() or ".." in url.split("/"):
            return None
        return url if any(url.startswith(place) for place in self._places) else None


def _place(root: str) -> str:
    """Return what the URL of each recording in a place begins with."""
    parts = urlsplit(root)
    if CHAIN in root or ".." in root.split("/") or not (parts.netloc or parts.path.strip("/")):
        raise ConfigError(
            "is no folder in a store, such as s3://bucket/season", key=KEY, value=root
        )
    return root.rstrip("/") + "/"
