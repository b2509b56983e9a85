"""Plug point: the bundles that ship with the package, each a directory."""

from __future__ import annotations

from pathlib import Path

from edge.bundle.places import named_bundle

__all__ = ["bundle_path", "default_bundle_path"]


def default_bundle_path() -> Path:
    """Directory of the embedded default bundle."""
    return Path(__file__).parent / "default"


def bundle_path(given: Path | str) -> Path:
    """Return the folder of the bundle `given`: a path, the name of an imported one, or `default`.

    Raises `BundleError`.
    """
    if str(given) == "default" and not Path(given).exists():
        return default_bundle_path()
    return named_bundle(given)
