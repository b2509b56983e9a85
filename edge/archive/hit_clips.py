"""Windows that were found, cut from their recordings as WAV files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.archive.cutting import Excerpt, excerpts, write_excerpt
from edge.archive.hit_formats import write_hits_csv
from edge.archive.hits import Hit
from edge.errors import AudioError, ConfigError
from edge.files import replacing_folder

__all__ = ["write_clips"]

TABLE = "clips.csv"
LONGEST_STEM = 80
Complain = Callable[[str], None]


def write_clips(folder: Path, hits: Sequence[Hit], *, complain: Complain) -> int:
    """Write a folder with a WAV file for each hit, at its recording's rate, and a table of them.

    Returns how many could not be cut, of which `complain` gets the reasons. Raises `ConfigError`
    where something is in the folder, and OSError, with nothing written, on a full disk.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("is there already", key="--out", value=folder)
    by_path: dict[str, list[Hit]] = {}
    for hit in hits:
        by_path.setdefault(hit.recording.path, []).append(hit)
    cut: list[Hit] = []
    try:
        with replacing_folder(folder) as staging:
            for own in by_path.values():
                for hit, excerpt in _cut(own, complain):
                    write_excerpt(staging / _name(hit), excerpt)
                    cut.append(hit)
            with (staging / TABLE).open("w", encoding="utf-8", newline="\n") as stream:
                write_hits_csv(stream, sorted(cut, key=lambda hit: hit.rank))
    except OSError as exc:
        exc.filename = str(folder)  # not what was beside it meanwhile
        raise
    return len(hits) - len(cut)


def _cut(hits: Sequence[Hit], complain: Complain) -> list[tuple[Hit, Excerpt]]:
    """Return the sound of those hits of one recording that is there."""
    recording = hits[0].recording
    spans = [(hit.start_s, hit.end_s) for hit in hits]
    try:
        found = excerpts(recording.path, spans, channel=recording.channel, heard=hits[0].heard)
    except (AudioError, OSError) as exc:
        complain(str(exc) if isinstance(exc, AudioError) else f"{recording.path}: {exc.strerror}")
        return []
    pairs = zip(hits, found, strict=True)
    return [(hit, excerpt) for hit, excerpt in pairs if len(excerpt.samples)]


def _name(hit: Hit) -> str:
    stem = re.sub(r"[^\w.-]+", "_", Path(hit.recording.file).stem, flags=re.ASCII)[:LONGEST_STEM]
    return f"{hit.rank:04}_{stem}_{hit.start_s:.2f}s.wav"
