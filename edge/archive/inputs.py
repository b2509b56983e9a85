"""What is to be heard: files, folders, patterns, and places in object stores."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.archive.fingerprint import Fingerprint
from edge.archive.stores import PATTERN, is_remote, listed
from edge.errors import ConfigError
from edge.replay.recordings import STANDARD_INPUT, Found, Recording, find_recordings

__all__ = ["Inputs", "find_inputs"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The recordings that were `found`, and the fingerprints of those in object stores."""

    found: Found
    remote: dict[str, Fingerprint] = field(default_factory=dict)


def find_inputs(given: Sequence[str]) -> Inputs:
    """Return the recordings that are `given` by files, folders, patterns and URLs.

    Raises `ConfigError` for a pipe, a pattern that nothing fits, and a store that denies.
    """
    if STANDARD_INPUT in given:
        reason = "is a pipe, which cannot be heard again: give files or folders"
        raise ConfigError(reason, key="INPUT", value=STANDARD_INPUT)
    remote = {name: mark for url in given if is_remote(url) for name, mark in listed(url).items()}
    local = [path for one in given if not is_remote(one) for path in _expanded(one)]
    found = find_recordings(local)
    found.recordings += [Recording(file=url, name=url) for url in remote]
    return Inputs(found=found, remote=remote)


def _expanded(path: str) -> list[str]:
    """Return what a pattern names that the shell has not expanded; what is there is no pattern."""
    if os.path.lexists(path) or not PATTERN.search(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise ConfigError("no file has a name like this", key="INPUT", value=path)
    return found
