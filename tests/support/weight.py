"""What an installation weighs: the packages that a requirement leads to, and their files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["closure", "weight_bytes"]


def closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Return what is installed for `requirements`, and for what these require, by name.

    Raises `PackageNotFoundError` for what is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if not _applies(wanted) or str(wanted) in seen:
            continue
        seen.add(str(wanted))
        package = distribution(wanted.name)
        found[canonicalize_name(wanted.name)] = package
        extras = {"", *wanted.extras}
        needs = [Requirement(text) for text in package.requires or ()]
        waiting += [need for need in needs if any(_applies(need, extra=extra) for extra in extras)]
    return found


def weight_bytes(package: Distribution) -> int:
    """Return the size of its files, but for what Python compiles from them."""
    files = (Path(str(file.locate())) for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def _applies(wanted: Requirement, *, extra: str = "") -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": extra})
