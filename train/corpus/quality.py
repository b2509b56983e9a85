"""Whether a file can be used at all: decoded once, from end to end, before it trains anything."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edge.errors import one_line
from edge.terminal import printable

__all__ = ["Checked", "check_file", "check_files"]

SHORTEST_S = 0.1
SILENT_DBFS = -80.0  # below a 14-bit recorder's last bit: a dead microphone or an empty export
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is known of a file's content; `fault` says why it cannot be used, "" when it can."""

    path: Path
    sha256: str = ""
    seconds: float = 0.0
    fault: str = ""


def check_files(paths: Iterable[Path], *, workers: int = 2) -> Iterator[Checked]:
    """Check every file in `workers` processes, in order."""
    paths = list(paths)
    if workers < 2 or len(paths) < 2 * workers:
        yield from map(check_file, paths)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(check_file, paths, chunksize=8)


def check_file(path: Path) -> Checked:
    """Read `path` once for its sha256 and once for its samples."""
    if fault := _fault_of_name(path):
        return Checked(path=path, fault=fault)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return Checked(path=path, fault="unreadable (is not a file)")
        digest = _sha256(path)
        if status.st_size == 0:
            return Checked(path=path, sha256=digest, fault="empty")
        seconds, peak, complete = _measure(path)
    except (FileNotFoundError, NotADirectoryError):
        return Checked(path=path, fault="missing")
    except (OSError, soundfile.SoundFileError) as exc:
        return Checked(path=path, fault=f"unreadable ({_reason(exc)})")
    return Checked(path=path, sha256=digest, seconds=seconds, fault=_fault(seconds, peak, complete))


def _fault_of_name(path: Path) -> str:
    """Return why a path cannot stand in the tables, reports and cards that name it, else ""."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "name is not UTF-8, rename it"
    hidden = printable(str(path)) != str(path)
    return "name has characters that cannot be shown, rename it" if hidden else ""


def _measure(path: Path) -> tuple[float, float, bool]:
    """Return decoded seconds, peak of the absolute sample, and whether all of it is there.

    The peak is NaN or infinite if any sample is; complete is what has the length of its header.
    """
    frames, peak = 0, 0.0
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(blocksize=BLOCK, dtype="float32", always_2d=True):
            frames += len(block)
            # max() of the block is NaN when one sample is; Python's max() would lose it.
            peak = float(np.maximum(peak, np.abs(block).max(initial=0.0)))
        return frames / file.samplerate, peak, frames >= file.frames


def _fault(seconds: float, peak: float, complete: bool) -> str:
    if not np.isfinite(peak):
        return "NaN or infinite samples"
    if seconds == 0:
        return "empty"
    if not complete:
        return f"truncated (decodes to {seconds:.1f} s, less than its header says)"
    if seconds < SHORTEST_S:
        return f"too short ({seconds:.3f} s, needs {SHORTEST_S} s)"
    if peak < 10 ** (SILENT_DBFS / 20):
        return f"silent (peak below {SILENT_DBFS:.0f} dBFS)"
    return ""


def _reason(exc: Exception) -> str:
    """Return the reason without the path, which stands beside it."""
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    text = exc.error_string if isinstance(exc, soundfile.LibsndfileError) else str(exc)
    return one_line(text).rstrip(". ") or type(exc).__name__


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
