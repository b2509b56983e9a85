"""A run that a power cut ended: what it had switched to was never checked, so it does not count."""

from __future__ import annotations

import json
import os
from pathlib import Path

from deploy.install.layout import Layout
from deploy.install.steps import Step, Undo, point, write

__all__ = ["accept", "way_back"]


def accept(layout: Layout) -> Undo:
    """Note that `edge check` has accepted the program and the bundle in use."""
    return write(_note(layout), json.dumps(_in_use(layout)).encode())


def way_back(layout: Layout) -> Step:
    """Lead the links to what was accepted last; the steps after it then try anew, and the check
    decides as ever.
    """

    def do() -> Undo:
        for name, target in _accepted(layout).items():
            path = layout.root / name
            if target is not None:
                point(path, target)
            elif path.is_symlink():
                path.unlink()
        return lambda: None  # whatever becomes of this run, what nobody checked stays away

    return Step(
        what=(
            f"lead {' and '.join(str(layout.root / name) for name in _in_use(layout))} back to "
            "what was checked last"
        ),
        why="an installation before this one was interrupted",
        done=lambda: _in_use(layout) == _accepted(layout),
        do=do,
    )


def _note(layout: Layout) -> Path:
    return layout.kept / "accepted.json"


def _in_use(layout: Layout) -> dict[str, str | None]:
    """Where each link leads, by its path below the root; None where there is no link."""
    links = (layout.program, layout.current)
    return {
        str(path.relative_to(layout.root)): os.readlink(path) if path.is_symlink() else None
        for path in links
    }


def _accepted(layout: Layout) -> dict[str, str | None]:
    """As `_in_use` when the check last passed; nothing was accepted where there is no note."""
    nothing: dict[str, str | None] = dict.fromkeys(_in_use(layout))
    try:
        return {**nothing, **json.loads(_note(layout).read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return nothing
