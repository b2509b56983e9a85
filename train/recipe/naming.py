"""What a recipe may be called: its name stands in tables, in bundles and in names of folders."""

from __future__ import annotations

from edge.errors import SpecError, shown

__all__ = ["check_name"]

LONGEST = 100  # characters


def check_name(name: str) -> None:
    """Raise `SpecError` unless `name` can stand in a line and in the name of a folder."""
    fits = 0 < len(name) <= LONGEST and name.isprintable() and name == name.strip()
    if not fits or set(name) & set("/\\") or name in (".", ".."):
        raise SpecError(
            f"name: {shown(name)} cannot name a recipe: use 1 to {LONGEST} characters of one line "
            "without blanks at its ends, / and \\"
        )
