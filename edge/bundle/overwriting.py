"""What may be replaced by a bundle: another bundle, and nothing else that a person has."""

from __future__ import annotations

from pathlib import Path

from edge.bundle.bundle import MANIFEST, SIGNATURE
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import BundleError, shown

__all__ = ["check_place"]

OF_THE_SYSTEM = {".DS_Store"}
ELSEWHERE = "choose another --out, or move it away"


def check_place(path: Path) -> None:
    """Raise `BundleError` where a bundle at `path` would take the place of anything else.

    A bundle is replaced whole: what somebody has put beside its files would be gone with them.
    """
    if path.is_symlink() and not path.exists():
        raise BundleError(f"{path}: is a link that leads nowhere", suggestion=ELSEWHERE)
    if not path.exists():
        return
    if not path.is_dir():
        raise BundleError(f"{path}: is a file, and a bundle is a folder", suggestion=ELSEWHERE)
    there = {file.name for file in path.iterdir()} - OF_THE_SYSTEM
    if strange := sorted(there - _own(path)):
        reason = f"holds {shown(strange[0])}, which is no file of a bundle and would be lost"
        raise BundleError(f"{path}: {reason}", suggestion=ELSEWHERE)


def _own(path: Path) -> set[str]:
    """Return the names of the bundle's files that is at `path`; without one there are none."""
    try:
        files = read_json(path / MANIFEST).get("files")
    except (FileNotFoundError, NotJsonError):
        return set()
    return {MANIFEST, SIGNATURE, *files} if isinstance(files, dict) else set()
