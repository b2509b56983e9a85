"""Where bundles stand, and the words that people call them by.

A word is a folder, the name of a bundle in a folder of bundles, or `TRUNK+HEAD`, each part of
which is one of these. What is there as it is written wins: a folder may have a + in its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.bundle.bundle import MANIFEST
from edge.errors import BundleError

__all__ = ["SHIPPED", "bundle_folders", "named_bundle", "trunk_and_folder"]

NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")
HERE = Path()
SHIPPED = Path(__file__).parents[1] / "models"  # with the program


def bundle_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders of bundles, first a service's own, then that of the person who asks."""
    folders = []
    if state := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        folders.append(Path(state, "bundles"))
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/"), ".local", "share")
    folders.append(Path(data, "edge-monitor", "bundles"))
    return folders


def named_bundle(
    given: Path | str, environ: Mapping[str, str] = os.environ, *, beside: Path = HERE
) -> Path:
    """Return the bundle `given` with folders in the place of names.

    A relative path is below the folder `beside`. It stays one word, `TRUNK+HEAD`, where it is two.
    Raises `BundleError`, which names the folders, for a name that none of them has.
    """
    path = Path(given)
    if _found(path, environ, beside) is None:
        parts = _split(path, lambda part: _found(part, environ, beside) is not None)
        if parts is not None:
            return Path("+".join(str(named_bundle(part, environ, beside=beside)) for part in parts))
    return _named(path, environ, beside)


def trunk_and_folder(given: Path | str) -> tuple[Path | None, Path]:
    """Return the two folders of `TRUNK+HEAD`; of a bundle that is one word, None and its folder."""
    path = Path(given)
    parts = None if _is_bundle(path) else _split(path, _is_bundle)
    return (None, path) if parts is None else parts


def _split(path: Path, is_one: Callable[[Path], bool]) -> tuple[Path, Path] | None:
    """Return what stands before and after a + of a word, None where neither `is_one`.

    There may be more than one +: that with a bundle on both sides comes first.
    """
    text = str(path)
    places = [at for at in range(1, len(text) - 1) if text[at] == "+"]
    pairs = [(Path(text[:at]), Path(text[at + 1 :])) for at in places]
    found = {pair: sum(map(is_one, pair)) for pair in pairs}
    return max(pairs, key=lambda pair: found[pair]) if any(found.values()) else None


def _named(path: Path, environ: Mapping[str, str], beside: Path) -> Path:
    found = _found(path, environ, beside)
    if found is not None or not _is_name(path):
        return found or beside / path
    looked = ", ".join(map(str, bundle_folders(environ)))
    raise BundleError(
        f"{path}: there is no such folder, and no bundle of this name in {looked}",
        suggestion=f"edge-deploy import {path}" if path.name == "birdnet" else "",
    )


def _found(path: Path, environ: Mapping[str, str], beside: Path) -> Path | None:
    """Return the folder that a path or a name leads to, None where there is none."""
    if os.path.exists(beside / path):  # False, too, for a name too long for the file system
        return beside / path
    if not _is_name(path):
        return None
    folders = bundle_folders(environ)
    places = [SHIPPED / path] if path.name == "default" else [folder / path for folder in folders]
    return next((place for place in places if os.path.isdir(place)), None)


def _is_name(path: Path) -> bool:
    return len(path.parts) == 1 and NAME.fullmatch(path.name) is not None


def _is_bundle(path: Path) -> bool:
    return os.path.exists(path / MANIFEST)
