"""Going back to what was checked last, after a power cut in the middle of an installation.

What the interrupted run had switched to was never checked, so it does not count as installed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from deploy.install.layout import Layout
from deploy.install.steps import Step, Undo, point, write
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import ConfigError

__all__ = ["accept", "way_back"]


def accept(layout: Layout) -> Undo:
    """Note on the disk that `edge check` has accepted the program and the bundle in use."""
    return write(_note(layout), json.dumps(_in_use(layout)).encode())


def way_back(layout: Layout) -> Step:
    """Lead the links to what was accepted last, when they lead elsewhere.

    The steps after it then install again what was asked for, and the check decides.
    """

    def do() -> Undo:
        for name, target in _accepted(layout).items():
            path = layout.root / name
            if target is not None:
                point(path, target)
            elif path.is_symlink():
                path.unlink()
        return lambda: None  # what was never checked does not come back if this run fails

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
    """Return where each link leads, by its path below the root; None if it does not exist."""
    links = (layout.program, layout.current)
    return {
        str(path.relative_to(layout.root)): os.readlink(path) if path.is_symlink() else None
        for path in links
    }


def _accepted(layout: Layout) -> dict[str, str | None]:
    """Return what `_in_use` was when the check last passed; all None if it never has."""
    try:
        note = read_json(_note(layout))
    except FileNotFoundError:
        note = {}
    except NotJsonError as exc:
        raise ConfigError(
            exc.fault.reason, suggestion="remove it, and install again what the service is to run"
        ) from exc
    # Only these links: root follows no other name, whoever has written it there.
    targets = {name: note.get(name) for name in _in_use(layout)}
    return {name: t if isinstance(t, str) else None for name, t in targets.items()}
