"""Where bundles stand that are called by their name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from edge.errors import BundleError

__all__ = ["bundle_folders", "named_bundle"]

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def bundle_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders of bundles, first a service's own, then that of the person who asks."""
    folders = []
    if state := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        folders.append(Path(state, "bundles"))
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/"), ".local", "share")
    folders.append(Path(data, "edge-monitor", "bundles"))
    return folders


def named_bundle(given: Path | str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the bundle `given`: a path, or the name of one in a folder of bundles.

    A path wins. Raises `BundleError`, which names the folders, where there is neither.
    """
    path = Path(given)
    if path.exists() or len(path.parts) != 1 or not NAME.fullmatch(path.name):
        return path
    folders = bundle_folders(environ)
    for folder in folders:
        if (folder / path.name).is_dir():
            return folder / path.name
    looked = ", ".join(map(str, folders))
    raise BundleError(
        f"{given}: there is no such folder, and no bundle of this name in {looked}",
        suggestion=f"edge-deploy import {given}" if path.name == "birdnet" else "",
    )
