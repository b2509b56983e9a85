"""A disk so small that a test can fill it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["fill", "mounted_read_only", "small_disk", "unmount_left_behind"]

# What a mount says of the tests' process that made it: its number and when it was started, since
# a number alone is used again.
_MADE_BY = re.compile(r"edge-test-([0-9]+)-([0-9]+)")


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A tmpfs at `folder`, which is made; raises where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    source = f"edge-test-{os.getpid()}-{_started(os.getpid())}"
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", source, str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def mounted_read_only(folder: Path, seen: Path) -> Iterator[Path]:
    """Show what is in `folder` at `seen`, which is made, where nobody can write it."""
    seen.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(folder), str(seen)], check=True, capture_output=True)
    try:
        command = ["mount", "-o", "remount,ro,bind", str(seen)]
        subprocess.run(command, check=True, capture_output=True)
        yield seen
    finally:
        _unmount(seen)


def unmount_left_behind() -> None:
    """Unmount the small disks of test runs that were killed: pytest, which removes the folders of
    earlier runs, fails at a folder that is still mounted on.
    """
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        made_by = _MADE_BY.fullmatch(after.split(" ")[1])
        if made_by and _started(int(made_by[1])) != int(made_by[2]):
            with contextlib.suppress(subprocess.CalledProcessError):  # another run was faster
                _unmount(Path(_unescaped(before.split(" ")[4])))


def fill(disk: Path) -> Path:
    """A file that takes all that is left, again and again."""
    file = disk / "neighbour"
    with file.open("ab", buffering=0) as neighbour, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free:
            neighbour.write(bytes(min(10**6, shutil.disk_usage(disk).free)))
            os.fsync(neighbour.fileno())
    return file


def _started(pid: int) -> int | None:
    """When the process was started, in the kernel's ticks; None where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _unescaped(field: str) -> str:
    """A field of mountinfo, in which spaces and the like are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
