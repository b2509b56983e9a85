"""Whether the disks of the store and the clips can be written to, and hold what may still come."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from edge.config.config import Config
from edge.errors import ConfigError
from edge.section import MB

__all__ = ["room_on_the_disks"]


@dataclass(frozen=True, kw_only=True)
class _Need:
    """What may still be written below a folder, the key that names it, and those that bound it."""

    key: str
    folder: Path
    grows_mb: float
    bounds: str


def room_on_the_disks(config: Config) -> str:
    """Say how much room there is; raises `ConfigError` where there is too little.

    What store and clips may still grow to must fit on their disks, together where it is one.
    """
    needs = [_store_needs(config)]
    if config.clips.enabled:
        needs.append(_clips_needs(config))
    by_disk: dict[int, list[_Need]] = defaultdict(list)
    for need in needs:
        _write_into(need.key, need.folder)
        by_disk[need.folder.stat().st_dev].append(need)
    return "; ".join(_room(needs) for needs in by_disk.values())


def _store_needs(config: Config) -> _Need:
    chosen, path = config.store, Path(config.store.path).resolve()
    if not path.parent.is_dir():
        reason = f"the folder {path.parent} does not exist"
        raise ConfigError(reason, key="store.path", value=path, suggestion="make it")
    may_take_mb = chosen.outbox_mb + chosen.history_mb + chosen.ballast_mb
    taken_mb = sum(_size_mb(path.with_name(path.name + suffix)) for suffix in ("", "-ballast"))
    return _Need(
        key="store.path",
        folder=path.parent,
        grows_mb=max(0.0, may_take_mb - taken_mb),
        bounds="store.outbox_mb, store.history_mb",
    )


def _clips_needs(config: Config) -> _Need:
    chosen, path = config.clips, Path(config.clips.folder).resolve()
    # The rest is made at the first start.
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    for label in (entry for entry in path.glob("*") if entry.is_dir()):
        _write_into("clips.folder", label)
    taken_mb = sum(_size_mb(file) for file in path.glob("*/*"))
    return _Need(
        key="clips.folder",
        folder=folder,
        grows_mb=max(0.0, chosen.budget_mb - taken_mb) + chosen.reserve_mb,
        bounds="clips.budget_mb, clips.reserve_mb",
    )


def _room(needs: list[_Need]) -> str:
    """Say how much room there is on the one disk of `needs`."""
    folder = needs[0].folder
    wanted_mb = sum(need.grows_mb for need in needs)
    free_mb = shutil.disk_usage(folder).free / MB
    if free_mb < wanted_mb:
        raise ConfigError(
            f"{free_mb:.0f} MB are free, and {wanted_mb:.0f} MB may be needed",
            key=" and ".join(need.key for need in needs),
            value=folder,
            suggestion=f"free some, or lower {', '.join(need.bounds for need in needs)}",
        )
    return f"{folder}, {free_mb:.0f} MB free, {wanted_mb:.0f} MB may be needed"


def _write_into(key: str, folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"edge check")
    except OSError as exc:
        suggestion = "may this user write there, and is there room?"
        reason = f"cannot be written to: {exc.strerror}"
        raise ConfigError(reason, key=key, value=folder, suggestion=suggestion) from exc


def _size_mb(file: Path) -> float:
    return file.stat().st_size / MB if file.is_file() else 0.0
