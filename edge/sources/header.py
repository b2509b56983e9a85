"""What a recording's header says, and whether that can be true."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

import soundfile

from edge.errors import AudioError
from edge.sources.integrity import missing_from_header, muted_native_stderr
from edge.sources.mpeg import Mp3Length, TaggedMp3, measure_mp3

__all__ = ["MP3_SLACK", "AudioFacts", "audio_facts", "open_recording"]

# From infrasound loggers to the fastest bat recorder; anything else is a damaged header.
RATES_HZ = (2_000, 768_000)
# libsndfile gives its largest count for a stream of unknown length.
UNKNOWN_FRAMES = 1 << 60
MP3_SLACK = 4 * 1152  # frames that an MP3 decoder may lose at the ends
IDENTITY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """What a recording's header says; `frames` is None when it does not give the length.

    `identity` is a digest of name, size and content. `counted` is given for an MP3 whose header
    gives no length, or one that is too short.
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


def audio_facts(path: str) -> AudioFacts:
    """Read the header of a recording.

    Raises `AudioError`, which names the file and why it cannot be a recording.
    """
    size = _check_regular(path)
    with open_recording(path) as file:
        rate_hz = int(file.samplerate)
        channels = int(file.channels)
        container = str(file.format)
        log = str(file.extra_info)
        frames = _frames(file)
    _check_rate(path, rate_hz)
    if frames == 0:
        raise AudioError(f"{path}: holds no audio, only a header")
    missing = missing_from_header(path, container, log)
    if missing:
        raise AudioError(f"{path}: truncated, {missing}")
    counted = _counted(path, frames) if container == "MP3" else None
    return AudioFacts(
        path=path,
        sample_rate_hz=rate_hz,
        channels=channels,
        frames=frames if counted is None else counted.frames,
        container=container,
        identity=_identity(path, size),
        counted=counted,
    )


def open_recording(path: str, counted: Mp3Length | None = None) -> soundfile.SoundFile:
    """Open a recording for reading from its beginning to its end; raises `AudioError`.

    An MP3 whose true length is `counted` is decoded as far as that.
    """
    name = os.fsencode(path)  # as bytes, for names that are not UTF-8
    try:
        with muted_native_stderr(True):
            return _Forward(name if counted is None else TaggedMp3(name, counted))
    except soundfile.LibsndfileError as exc:
        reason = exc.error_string.strip(" .")
        raise AudioError(f"{path}: not audio that can be read ({reason})") from exc
    # python-soundfile takes the suffix .raw as a promise of headerless samples.
    except TypeError as exc:
        raise AudioError(
            f"{path}: headerless samples cannot be read, their rate is unknown",
            suggestion="convert the file to WAV",
        ) from exc


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A recording that is read from beginning to end only.

    python-soundfile seeks after each read of a seekable file. In MP3 that restarts the decoder, so
    the samples would depend on the sizes of the reads; in Ogg it is slow. One that says it cannot
    seek is simply read on.
    """

    def seekable(self) -> bool:
        return False


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


def _frames(file: soundfile.SoundFile) -> int | None:
    """Return the number of frames by the header, or None when it does not say."""
    frames = int(file.frames)
    if file.format == "FLAC" and frames == 0:
        return None  # FLAC's way to say unknown
    return frames if 0 <= frames < UNKNOWN_FRAMES else None


def _counted(path: str, frames: int | None) -> Mp3Length | None:
    """Return the true length of an MP3 where the decoder would stop short of it, else None."""
    length = measure_mp3(path)
    if length is None:
        return None
    sufficient = frames is not None and length.frames <= frames + MP3_SLACK
    return None if length.tagged and sufficient else length


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
