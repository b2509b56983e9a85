"""Stretches of recordings as sound, at each recording's own rate: from here or an object store."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from edge.archive.fingerprint import Fingerprint, fingerprint_of
from edge.archive.stores import at_hand, fingerprint_in_store, is_remote
from edge.errors import AudioError
from edge.replay.failing import failing_alone
from edge.replay.recordings import Recording
from edge.sources.file import FileSource
from edge.sources.header import AudioFacts, audio_facts
from edge.sources.stretch import StretchSource, can_be_cut, samples_of
from edge.types import Array

__all__ = ["Excerpt", "Span", "excerpts", "write_excerpt"]

Span = tuple[float, float]  # from and to, in seconds of the recording
Frames = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Sound of one channel, (N,) float32 in -1..1; empty where the recording has none there."""

    samples: Array
    sample_rate_hz: int


def excerpts(
    path: str,
    spans: Sequence[Span],
    *,
    channel: int | Literal["mix"],
    heard: Fingerprint | None = None,
) -> list[Excerpt]:
    """Return the sound of each of `spans` of the recording at a path or URL, which is read once.

    Raises `AudioError` where it cannot be read, or is not the one that was `heard`: None does not
    ask.
    """
    recording = Recording(file=path, name=path)
    _refuse_another(path, heard)
    with at_hand(recording) as near:
        found = failing_alone(near, lambda: _cut(near.file, spans, channel))
    if isinstance(found, AudioError):
        raise found
    _refuse_another(path, heard)  # replaced meanwhile
    return found


def write_excerpt(path: Path, excerpt: Excerpt) -> None:
    """Write sound as a WAV file of 16 bits; raises OSError."""
    wav = io.BytesIO()  # libsndfile does not say that a disk is full
    soundfile.write(wav, excerpt.samples, excerpt.sample_rate_hz, format="WAV", subtype="PCM_16")
    path.write_bytes(wav.getvalue())


def _refuse_another(path: str, heard: Fingerprint | None) -> None:
    if heard is None:
        return
    now = fingerprint_in_store(path) if is_remote(path) else fingerprint_of(path)
    if now is None:
        raise AudioError(f"{path}: is not there any more, or cannot be read")
    if now != heard:
        raise AudioError(f"{path}: has changed since it was heard")


def _cut(file: str, spans: Sequence[Span], channel: int | Literal["mix"]) -> list[Excerpt]:
    facts = audio_facts(file)
    rate_hz = facts.sample_rate_hz
    frames = [(max(0, round(start * rate_hz)), round(end * rate_hz)) for start, end in spans]
    pieces: list[Array] | None = None
    if can_be_cut(facts, rate_hz):
        pieces = _stretches(facts, frames, channel)
    if pieces is None:
        pieces = _in_one_go(file, rate_hz, frames, channel)
    return [Excerpt(samples=np.clip(piece, -1, 1), sample_rate_hz=rate_hz) for piece in pieces]


def _stretches(
    facts: AudioFacts, spans: Sequence[Frames], channel: int | Literal["mix"]
) -> list[Array] | None:
    """Return frames of a recording that can be decoded from any on; None where it is damaged."""
    rate_hz, count = facts.sample_rate_hz, samples_of(facts, facts.sample_rate_hz)
    pieces: list[Array] = []
    for start, end in ((start, min(end, count)) for start, end in spans):
        found = [np.empty(0, np.float32)]
        if start < end:
            source = StretchSource(
                facts, sample_rate_hz=rate_hz, start=start, end=end, shared=0, channel=channel
            )
            found += [block.samples for block in source.blocks()]
            if source.joint is None or not source.joint.whole:
                return None
        pieces.append(np.concatenate(found))
    return pieces


def _in_one_go(
    file: str, rate_hz: int, spans: Sequence[Frames], channel: int | Literal["mix"]
) -> list[Array]:
    """Return frames of a recording that is decoded from its beginning on; gaps are silence."""
    source = FileSource(file, sample_rate_hz=rate_hz, channel=channel)
    pieces = [np.empty(0, np.float32) for _ in spans]
    last = max(end for _, end in spans)
    for block in source.blocks():
        for i, (start, end) in enumerate(spans):
            first = max(0, start - block.start_sample)
            found = block.samples[first : max(first, end - block.start_sample)]
            if len(found):
                gap = block.start_sample + first - start - len(pieces[i])
                pieces[i] = np.concatenate([pieces[i], np.zeros(gap, np.float32), found])
        if block.end_sample >= last:
            break
    return pieces
