"""Texts that spreadsheets would take for a formula, written so that they do not."""

from __future__ import annotations

import os

__all__ = ["guarded_name", "guarded_path"]

# With these a spreadsheet begins a formula; a quote is the start of a quoted cell to some readers.
FORMULA = ("=", "+", "-", "@", "\t", "\r", '"')


def guarded_path(path: str) -> str:
    """Return a path that still names the same file and that no spreadsheet takes for a formula."""
    return os.path.join(".", path) if path.startswith(FORMULA) else path


def guarded_name(name: str) -> str:
    """Return a name for people that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name
