"""Recordings in object stores, by fsspec: what is there, and a copy while one is heard."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from edge.archive.fingerprint import HEAD_BYTES, Fingerprint, usual_time
from edge.errors import AudioError, ConfigError, UserError, one_line
from edge.extras import how_to_install
from edge.replay.owners import is_remote
from edge.replay.recordings import Recording
from edge.sources.file import AUDIO_SUFFIXES
from edge.sources.metadata import parse_timestamp

__all__ = ["at_hand", "fingerprint_in_store", "is_remote", "listed"]

PATTERN = re.compile(r"[*?\[]")
COPIED_BYTES = 1 << 20  # at a time
ETAGS = ("ETag", "etag", "content_md5", "md5Hash")
CHANGED = ("LastModified", "mtime", "last_modified", "modified", "updated")


def listed(url: str) -> dict[str, Fingerprint]:
    """Return the recordings that a URL, a pattern or a folder there names, sorted, each with its
    fingerprint.

    Raises `ConfigError` where the store cannot be reached or denies, or where nothing is there.
    """
    system, path = _system(url)
    scheme = url.partition("://")[0]
    with _blamed(url):
        found = _infos(system, path)
        prints = {
            name if is_remote(name) else f"{scheme}://{name}": _fingerprint(system, name, info)
            for name, info in sorted(found.items())
            if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES
        }
    if not prints:
        raise ConfigError("no recording is there", key="INPUT", value=url)
    return prints


@contextmanager
def at_hand(recording: Recording) -> Iterator[Recording]:
    """Give a recording as a file of this machine: itself, or a copy of the same name and time.

    Raises `AudioError` where it cannot be read.
    """
    if not is_remote(recording.file):
        yield recording
        return
    with tempfile.TemporaryDirectory(prefix="edge-archive-") as folder:
        with _unreadable(recording.name):
            system, path = _system(recording.file)
            file = Path(folder, PurePosixPath(path).name)
            _copy(system, path, file)
        yield replace(recording, file=str(file))


def fingerprint_in_store(url: str) -> Fingerprint | None:
    """Return the fingerprint that a recording has now, None where none is there.

    Raises `AudioError` where the store cannot be read.
    """
    with _unreadable(url):
        system, path = _system(url)
        system.invalidate_cache()  # of an earlier look
        try:
            return _fingerprint(system, path, system.info(path))
        except FileNotFoundError:
            return None


@contextmanager
def _unreadable(name: str) -> Iterator[None]:
    """Say which recording in an object store cannot be read."""
    try:
        yield
    except Exception as exc:  # each store's library has errors of its own
        raise AudioError(f"{name}: cannot be read ({one_line(str(exc))})") from exc


def _copy(system: Any, path: str, file: Path) -> None:
    modified = _modified(system.info(path))
    with system.open(path, "rb") as source, file.open("wb") as copy:
        shutil.copyfileobj(source, copy, COPIED_BYTES)
    since_s = 0.0 if modified is None else modified.timestamp()  # of 1970: no date, by any clock
    os.utime(file, (since_s, since_s))


def _system(url: str) -> tuple[Any, str]:
    try:
        fsspec: Any = importlib.import_module("fsspec")
    except ImportError as exc:
        raise UserError(f"{url}: needs fsspec ({how_to_install('archive')})") from exc
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as exc:
        scheme = url.partition("://")[0]
        raise UserError(f"{url}: {exc} ({how_to_install(scheme)})") from exc
    except ValueError as exc:
        raise ConfigError(f"is no place that can be read ({exc})", key="INPUT", value=url) from exc
    return system, str(path)


def _infos(system: Any, path: str) -> dict[str, Mapping[str, Any]]:
    if PATTERN.search(path):
        found = system.glob(path, detail=True)
    elif system.isdir(path):
        found = system.find(path, detail=True)
    else:
        found = {path: system.info(path)}
    return {name: info for name, info in found.items() if info.get("type") != "directory"}


@contextmanager
def _blamed(url: str) -> Iterator[None]:
    """Say which input an object store has refused."""
    try:
        yield
    except PermissionError as exc:
        raise ConfigError(f"the store denies it ({exc})", key="INPUT", value=url) from exc
    except FileNotFoundError as exc:
        raise ConfigError("no recording is there", key="INPUT", value=url) from exc
    except Exception as exc:  # each store's library has errors of its own
        raise ConfigError(
            f"the store cannot be read ({type(exc).__name__}: {exc})", key="INPUT", value=url
        ) from exc


def _fingerprint(system: Any, path: str, info: Mapping[str, Any]) -> Fingerprint:
    """Return by what a recording is known again; where a store knows nothing, it is the head."""
    etag = next((str(info[name]).strip('"') for name in ETAGS if info.get(name)), None)
    modified = _modified(info) if etag is None else None
    head = None
    if etag is None and modified is None:
        head = hashlib.sha256(system.read_block(path, 0, HEAD_BYTES)).hexdigest()
    return Fingerprint(
        size_bytes=int(info.get("size") or 0), modified_utc=modified, etag=etag, head_sha256=head
    )


def _modified(info: Mapping[str, Any]) -> datetime | None:
    """Return when a recording was last changed, None where a store does not say.

    Stores tell it under names of their own: as a time, as text, or in seconds since 1970.
    """
    told = (_time(info[name]) for name in CHANGED if info.get(name))
    return next((time for time in told if time is not None), None)


def _time(told: object) -> datetime | None:
    try:
        if isinstance(told, (int, float)):
            return usual_time(datetime.fromtimestamp(told, timezone.utc))
        if isinstance(told, str):
            told = parse_timestamp(told)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(told, datetime) or told.tzinfo is None:
        return None
    return usual_time(told)
