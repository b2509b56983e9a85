"""Windows that were found, cut from their recordings as WAV files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from edge.archive.hit_formats import write_hits_csv
from edge.archive.hits import Hit
from edge.errors import AudioError, ConfigError
from edge.files import replacing_folder
from edge.sources.file import FileSource
from edge.sources.header import audio_facts
from edge.types import Array

__all__ = ["write_clips"]

TABLE = "clips.csv"
LONGEST_STEM = 80
Complain = Callable[[str], None]


def write_clips(folder: Path, hits: Sequence[Hit], *, complain: Complain) -> int:
    """Write a folder with a WAV file for each hit, at its recording's rate, and a table of them.

    Returns how many could not be cut, of which `complain` gets the reasons. Raises `ConfigError`
    where something is in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("is there already", key="--out", value=folder)
    by_path: dict[str, list[Hit]] = {}
    for hit in hits:
        by_path.setdefault(hit.recording.path, []).append(hit)
    cut: list[Hit] = []
    with replacing_folder(folder) as staging:
        for path, own in by_path.items():
            try:
                cut += _cut(staging, own)
            except (AudioError, OSError) as exc:
                complain(str(exc) if isinstance(exc, AudioError) else f"{path}: {exc.strerror}")
        with (staging / TABLE).open("w", encoding="utf-8", newline="\n") as stream:
            write_hits_csv(stream, sorted(cut, key=lambda hit: hit.rank))
    return len(hits) - len(cut)


def _cut(folder: Path, hits: Sequence[Hit]) -> list[Hit]:
    """Write the clips of one recording, which is read once, and return those that were there."""
    recording = hits[0].recording
    rate_hz = audio_facts(recording.path).sample_rate_hz
    source = FileSource(recording.path, sample_rate_hz=rate_hz, channel=recording.channel)
    spans = [(round(hit.start_s * rate_hz), round(hit.end_s * rate_hz)) for hit in hits]
    pieces: list[list[Array]] = [[] for _ in hits]
    last = max(end for _, end in spans)
    for block in source.blocks():
        for (start, end), found in zip(spans, pieces, strict=True):
            first = max(0, start - block.start_sample)
            found.append(block.samples[first : max(first, end - block.start_sample)].copy())
        if block.end_sample >= last:
            break
    written = []
    for hit, found in zip(hits, pieces, strict=True):
        samples = np.clip(np.concatenate(found), -1, 1)
        if len(samples):
            soundfile.write(folder / _name(hit), samples, rate_hz, subtype="PCM_16")
            written.append(hit)
    return written


def _name(hit: Hit) -> str:
    stem = re.sub(r"[^\w.-]+", "_", Path(hit.recording.file).stem, flags=re.ASCII)[:LONGEST_STEM]
    return f"{hit.rank:04}_{stem}_{hit.start_s:.2f}s.wav"
