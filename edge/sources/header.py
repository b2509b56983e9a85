"""What a recording is, before it is decoded: its header, and what is true of it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from edge.errors import AudioError
from edge.sources.layout import Layout, layout_of
from edge.sources.metadata import TIME_EXPANSIONS, Metadata, metadata_of

__all__ = ["AudioFacts", "audio_facts"]

# From infrasound loggers to the fastest bat recorder; anything else is a damaged header.
RATES_HZ = (2_000, 768_000)
IDENTITY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """What is known of a recording before it is decoded.

    `sample_rate_hz` is that of the sound as it was in the field: where a recorder has slowed the
    sound down, it is a multiple of the one in the header. `layout` says what to decode and how long
    it should be. `identity` is a digest of name, size and content.
    """

    path: str
    sample_rate_hz: int
    layout: Layout
    metadata: Metadata
    identity: str

    @property
    def channels(self) -> int:
        """Channels of the recording."""
        return self.layout.facts.channels

    @property
    def frames(self) -> int | None:
        """How many frames there are as far as can be told, None where it cannot."""
        return self.layout.present

    @property
    def duration_s(self) -> float | None:
        """How long the sound is as far as can be told, in seconds."""
        return None if self.frames is None else self.frames / self.sample_rate_hz

    @property
    def announced_s(self) -> float | None:
        """Length by the header, in seconds; None where it leaves that open."""
        announced = self.layout.announced
        return None if announced is None else announced / self.sample_rate_hz


def audio_facts(path: str) -> AudioFacts:
    """Read the header of a recording.

    Raises `AudioError`, which names the file and why it cannot be a recording.
    """
    size = _check_regular(path)
    layout = layout_of(path, size)
    _check_rate(path, layout.facts.sample_rate_hz)
    if layout.present == 0:
        raise AudioError(f"{path}: holds no audio, only a header")
    metadata = metadata_of(path, layout.chunks)
    return AudioFacts(
        path=path,
        sample_rate_hz=_field_rate(path, layout.facts.sample_rate_hz, metadata),
        layout=layout,
        metadata=metadata,
        identity=_identity(path, size),
    )


def _check_regular(path: str) -> int:
    """Return the size in bytes of a regular file that is not empty; raises `AudioError`."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path}: not a regular file")
        with open(path, "rb"):
            pass
    except FileNotFoundError as exc:
        raise AudioError(f"{path}: no such file or directory") from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise AudioError(f"{path}: cannot be opened ({reason})") from exc
    if status.st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes)")
    return status.st_size


def _check_rate(path: str, rate_hz: int) -> None:
    lowest_hz, highest_hz = RATES_HZ
    if not lowest_hz <= rate_hz <= highest_hz:
        raise AudioError(
            f"{path}: a sample rate of {rate_hz} Hz makes no sense (expected {lowest_hz} to "
            f"{highest_hz} Hz)"
        )


def _field_rate(path: str, rate_hz: int, metadata: Metadata) -> int:
    """Return the rate at which the sound was captured: GUANO's TE says how it was slowed down."""
    factor = metadata.time_expansion
    if factor is None:
        lowest, highest = TIME_EXPANSIONS
        raise AudioError(
            f"{path}: GUANO's time expansion TE is no number from {lowest:g} to {highest:g}, so "
            "its times and frequencies cannot be told"
        )
    field_hz = round(rate_hz * factor)
    _check_rate(path, field_hz)
    return field_hz


def _identity(path: str, size: int) -> str:
    """Return a digest of name, size, and the first and last MiB.

    It stays the same in another folder, and is quick for a day of audio.
    """
    digest = hashlib.sha256(f"{os.path.basename(path)}|{size}|".encode("utf-8", "surrogateescape"))
    with open(path, "rb") as file:
        digest.update(file.read(IDENTITY_BYTES))
        file.seek(max(0, size - IDENTITY_BYTES))
        digest.update(file.read(IDENTITY_BYTES))
    return digest.hexdigest()
