"""Plug point: the bundles that ship with the package, each a directory."""

from __future__ import annotations

from pathlib import Path

from edge.bundle.places import SHIPPED

__all__ = ["default_bundle_path"]


def default_bundle_path() -> Path:
    """Directory of the embedded default bundle."""
    return SHIPPED / "default"
