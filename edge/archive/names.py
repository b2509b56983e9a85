"""The names of recordings: which are of one file, so that none is heard twice."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

from edge.archive.dataset import Known
from edge.archive.fingerprint import Fingerprint
from edge.archive.rows import path_cell
from edge.replay.folders import identity_of

__all__ = ["Names", "spelled"]


def spelled(file: str) -> str:
    """Return a file's path from the root, so that a dataset is the same from whichever folder it
    is filled.
    """
    folder, name = os.path.split(file)
    # The system goes up from where a link leads.
    above = os.path.realpath(folder) if ".." in folder.split(os.sep) else os.path.abspath(folder)
    return os.path.join(above, name)


class Names:
    """The names under which recordings are given, beside those in a dataset's `known` rows."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        self._known = known
        self._given: set[object] = set()

    def is_new(self, path: str) -> bool:
        """Return whether this is the first name of its file; links may give it several."""
        count = len(self._given)
        self._given.add(identity_of(path))
        return len(self._given) > count

    def settled(self, path: str, fingerprint: Fingerprint | None) -> str:
        """Return the name under which the dataset knows a file, `path` where it does not."""
        if fingerprint is None or path_cell(path) in self._known:
            return path
        alike = (name for name in self._alike.get(fingerprint, ()) if name in self._known)
        return next((name for name in alike if identity_of(name) == identity_of(path)), path)

    @cached_property
    def _alike(self) -> Mapping[Fingerprint, list[str]]:
        """Names of the recordings with a fingerprint."""
        alike = defaultdict[Fingerprint, list[str]](list)
        for name, known in self._known.items():
            if known.fingerprint is not None:
                alike[known.fingerprint].append(name)
        return dict(alike)
