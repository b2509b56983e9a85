"""Steps of an installation.

Each knows whether it is done already, and how it is taken back when a later one fails.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.files import write_whole

__all__ = ["Step", "Undo", "carry_out", "folder", "link", "point", "remove", "text_file", "write"]

Undo = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change of the machine; `what` it does and `why`, for people.

    `do` makes the change and returns what takes it back. `done` says whether it is made already; it
    is called when the step's turn comes, and writes nothing. `last` marks what only follows other
    steps (a check, a restart): it is passed over when no step before it had anything to do.
    """

    what: str
    why: str
    done: Callable[[], bool]
    do: Callable[[], Undo]
    last: bool = False


def carry_out(steps: Iterable[Step], *, dry_run: bool, say: Callable[[str], object]) -> int:
    """Do what is not done yet, and return how many steps that was.

    When a step fails, those before it are taken back, the last one first, and its error is raised.
    """
    count = 0
    # Also after Ctrl-C; and when taking back one step fails, the others are still taken back.
    with ExitStack() as undo:
        for step in steps:
            if (step.last and not count) or step.done():
                continue
            count += 1
            say(f"{step.what} ({step.why})")
            if not dry_run:
                undo.callback(step.do())
        undo.pop_all()
    return count


def folder(path: Path, mode: int, why: str) -> Step:
    """Make a folder with this mode.

    It is not taken back: an empty folder that stays behind does no harm.
    """

    def done() -> bool:
        return path.is_dir() and path.stat().st_mode & 0o7777 == mode

    def do() -> Undo:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return lambda: None

    return Step(what=f"make the folder {path}, mode {mode:04o}", why=why, done=done, do=do)


def text_file(path: Path, text: str, why: str, *, mode: int = 0o644) -> Step:
    """Write a file that holds exactly `text`."""
    return Step(
        what=f"write {path}",
        why=why,
        done=lambda: _held(path) == text.encode(),
        do=lambda: write(path, text.encode(), mode=mode),
    )


def link(path: Path, target: str, why: str) -> Step:
    """Make a symbolic link that leads to `target`."""
    there = (
        ", and set aside the folder that is there"
        if path.is_dir() and not path.is_symlink()
        else ""
    )
    return Step(
        what=f"point {path} to {target}{there}",
        why=why,
        done=lambda: path.is_symlink() and os.readlink(path) == target,
        do=lambda: point(path, target),
    )


def write(path: Path, content: bytes, *, mode: int = 0o644) -> Undo:
    """Replace the file `path` by `content`, whole, and return what takes that back."""
    before = _held(path)
    write_whole(path, content, durable=True, mode=mode)
    if before is None:
        return lambda: path.unlink(missing_ok=True)
    return lambda: write(path, before, mode=mode)


def point(path: Path, target: str) -> Undo:
    """Lead the link `path` to `target`, at once, and return what takes that back.

    A folder that stands in its place is set aside.
    """
    before = os.readlink(path) if path.is_symlink() else None
    aside = _beside(path, "set-aside") if before is None and path.exists() else None
    staging = _beside(path)
    staging.symlink_to(target)
    if aside is not None:
        path.rename(aside)
    staging.replace(path)

    def take_back() -> None:
        if before is not None:
            point(path, before)
            return
        path.unlink()
        if aside is not None:
            aside.rename(path)

    return take_back


def remove(path: Path) -> None:
    """Remove a folder and all it holds, if it is there."""
    shutil.rmtree(path, ignore_errors=True)


def _beside(path: Path, word: str = "new") -> Path:
    return path.with_name(f".{path.name}.{word}.{secrets.token_hex(4)}")


def _held(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
