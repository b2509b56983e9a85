"""Recordings: anything libsndfile reads, decoded and resampled as a stream, so that a day fits in a
few megabytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr

from edge.errors import AudioError
from edge.sources.integrity import missing_from_header, muted_native_stderr
from edge.sources.mpeg import Mp3Length, TaggedMp3, measure_mp3
from edge.types import Array, AudioBlock

__all__ = ["AUDIO_SUFFIXES", "AudioFacts", "FileSource", "probe"]

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "bwf", "rf64", "w64", "flac", "ogg", "oga", "opus", "mp3", "mp2"),
        *("aif", "aiff", "aifc", "au", "snd", "caf", "voc", "nist", "sph", "ircam"),
    )
)
# from infrasound loggers to the fastest bat recorder; anything else is a damaged header
RATES_HZ = (2_000, 768_000)
# full scale is 1; integer samples stored as float reach 2**31, which overflows powers in float32
# further on
LOUDEST = 1e6
DECODED_SAMPLES = 1 << 17  # decoded at a time, all channels together: 0.5 MiB
IDENTITY_BYTES = 1 << 20
# libsndfile gives its largest count for streams that do not tell their length
UNKNOWN_FRAMES = 1 << 60
MP3_SLACK = 4 * 1152  # frames that an MP3 decoder may lose at the ends


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """What a recording's header says; `frames` is None when it does not tell. `identity` is a
    digest of name, size and content.

    `counted` is given for an MP3 whose header does not tell the length, or tells one that is too
    short.
    """

    path: str
    sample_rate_hz: int
    channels: int
    frames: int | None
    container: str
    identity: str
    counted: Mp3Length | None = None

    @property
    def duration_s(self) -> float | None:
        """Length by the header, in seconds."""
        return None if self.frames is None else self.frames / self.sample_rate_hz


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Read from beginning to end only.

    python-soundfile seeks after each read of a seekable file. In MP3 that restarts the decoder, so
    the samples would depend on the sizes of the reads; in Ogg it is slow. One that says it cannot
    seek is simply read on.
    """

    def seekable(self) -> bool:
        return False


class FileSource:
    """The recording at `path` as mono blocks of `block_s` at `sample_rate_hz`; channels are
    averaged.

    Decoding proceeds in pieces of its own size, so `block_s` decides nothing but where the blocks
    are cut. Raises `AudioError` at construction for what the header shows, and while reading for
    what only the samples show (cut off, NaN, no audio).
    """

    def __init__(self, path: str, *, sample_rate_hz: int, block_s: float = 1.0) -> None:
        self.facts = probe(path)
        self.path = path
        self._sample_rate_hz = sample_rate_hz
        self._block_samples = max(1, round(block_s * sample_rate_hz))

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples given out."""
        return self._sample_rate_hz

    def blocks(self) -> Iterator[AudioBlock]:
        """See `Source.blocks`; each call reads the file from its beginning."""
        size, start, pending = self._block_samples, 0, np.empty(0, np.float32)
        for samples in self._resampled():
            pending = np.concatenate([pending, samples])
            # not >=: some must remain for the block that is marked as the last
            while len(pending) > size:
                yield AudioBlock(
                    start_sample=start, samples=pending[:size], sample_rate_hz=self._sample_rate_hz
                )
                start, pending = start + size, pending[size:]
        if not start + len(pending):
            raise AudioError(f"{self.path}: holds no audio")
        yield AudioBlock(
            start_sample=start, samples=pending, sample_rate_hz=self._sample_rate_hz, last=True
        )

    def _resampled(self) -> Iterator[Array]:
        if self.facts.sample_rate_hz == self._sample_rate_hz:
            yield from self._decoded()
            return
        resampler = soxr.ResampleStream(
            self.facts.sample_rate_hz, self._sample_rate_hz, 1, dtype="float32", quality="HQ"
        )
        for samples in self._decoded():
            yield resampler.resample_chunk(samples)
        # The filter still holds the last samples.
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)

    def _decoded(self) -> Iterator[Array]:
        decoded, facts = 0, self.facts
        with _open(self.path, facts.counted) as file:
            while len(frames := self._read(file, decoded)):
                decoded += len(frames)
                yield frames.mean(axis=1, dtype=np.float32)
        missing = 0 if facts.frames is None else facts.frames - decoded
        if missing > (MP3_SLACK if facts.container == "MP3" else 0):
            raise AudioError(
                f"{self.path}: truncated, {_seconds(decoded, facts)} of "
                f"{_seconds(facts.frames, facts)} can be decoded"
            )

    def _read(self, file: soundfile.SoundFile, decoded: int) -> Array:
        """The next frames (n, channels) float32, checked."""
        try:
            with muted_native_stderr(self.facts.container == "MP3"):
                frames: Array = file.read(
                    max(1, DECODED_SAMPLES // file.channels), dtype="float32", always_2d=True
                )
        except soundfile.LibsndfileError as exc:
            reason = exc.error_string.strip(" .") or "decoder error"
            raise AudioError(
                f"{self.path}: truncated or damaged after {_seconds(decoded, self.facts)} "
                f"({reason})"
            ) from exc
        # The sum of finite samples below LOUDEST is finite; NaN and Inf do not compare as smaller.
        if len(frames) and not float(np.abs(frames).max()) <= LOUDEST:
            bad = int(np.argmax(~(np.abs(frames) <= LOUDEST).all(axis=1)))
            value = frames[bad][~(np.abs(frames[bad]) <= LOUDEST)][0]
            where = _seconds(decoded + bad, self.facts)
            what = (
                f"a sample of {value:.3g} where full scale is 1"
                if np.isfinite(value)
                else "NaN or infinite samples"
            )
            raise AudioError(f"{self.path}: {what} at {where}")
        return frames


def probe(path: str) -> AudioFacts:
    """Read the header; `AudioError` names the file and why it cannot be a recording."""
    size = _check_regular(path)
    with _open(path) as file:
        rate, channels, container, log = (
            file.samplerate,
            file.channels,
            file.format,
            file.extra_info,
        )
        frames = file.frames if 0 <= file.frames < UNKNOWN_FRAMES else None
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise AudioError(
            f"{path}: a sample rate of {rate} Hz makes no sense (expected {RATES_HZ[0]} to "
            f"{RATES_HZ[1]} Hz)"
        )
    if container == "FLAC" and frames == 0:
        frames = None  # 0 is FLAC's way to say unknown
    if frames == 0:
        raise AudioError(f"{path}: holds no audio, only a header")
    missing = missing_from_header(path, container, log)
    if missing:
        raise AudioError(f"{path}: truncated, {missing}")
    counted = _counted(path, frames) if container == "MP3" else None
    return AudioFacts(
        path=path,
        sample_rate_hz=rate,
        channels=channels,
        frames=frames if counted is None else counted.frames,
        container=container,
        identity=_identity(path, size),
        counted=counted,
    )


def _counted(path: str, frames: int | None) -> Mp3Length | None:
    """The length of an MP3 where the decoder would believe another."""
    length = measure_mp3(path)
    if length is None or (
        length.tagged and frames is not None and length.frames <= frames + MP3_SLACK
    ):
        return None
    return length


def _check_regular(path: str) -> int:
    """Size in bytes of the regular, non-empty file `path`."""
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


def _open(path: str, counted: Mp3Length | None = None) -> soundfile.SoundFile:
    name = os.fsencode(path)  # as bytes, for names that are not UTF-8
    try:
        with muted_native_stderr(True):
            return _Forward(name if counted is None else TaggedMp3(name, counted))
    except soundfile.LibsndfileError as exc:
        raise AudioError(
            f"{path}: not audio that can be read ({exc.error_string.strip(' .')})"
        ) from exc
    # python-soundfile takes the suffix .raw as a promise of headerless samples
    except TypeError as exc:
        raise AudioError(
            f"{path}: headerless samples cannot be read, their rate is unknown; convert the file "
            "to WAV"
        ) from exc


def _identity(path: str, size: int) -> str:
    """Digest of name, size, and the first and last MiB: the same after a move to another folder,
    and cheap for a day of audio.
    """
    digest = hashlib.sha256(f"{os.path.basename(path)}|{size}|".encode("utf-8", "surrogateescape"))
    with open(path, "rb") as file:
        digest.update(file.read(IDENTITY_BYTES))
        file.seek(max(0, size - IDENTITY_BYTES))
        digest.update(file.read(IDENTITY_BYTES))
    return digest.hexdigest()


def _seconds(frames: Any, facts: AudioFacts) -> str:
    return f"{frames / facts.sample_rate_hz:.2f} s"
