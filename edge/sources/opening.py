"""A recording, or one stream in it, opened for decoding."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import soundfile

from edge.errors import AudioError
from edge.extras import how_to_install
from edge.sources.av import AvStream, av_installed, foreign_format
from edge.sources.errors import DecodingError
from edge.sources.flac import FlacStream
from edge.sources.integrity import muted_native_stderr
from edge.sources.spliced import Piece, SplicedFile

__all__ = ["EncodedStream", "StreamFacts", "foreign_stream", "open_stream", "probe"]

# libsndfile gives its largest count for a stream of unknown length.
UNKNOWN_FRAMES = 1 << 60


@dataclass(frozen=True, kw_only=True)
class EncodedStream:
    """One stream of a file: the `pieces` that a decoder gets, None for the file as it is.

    `flac` is given where decoding can go on behind damage. `by_av`: libsndfile cannot read it.
    """

    pieces: tuple[Piece, ...] | None = None
    flac: FlacStream | None = None
    by_av: bool = False


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """What the decoder says of a stream; `frames` is None where it does not know the length.

    `log` is libsndfile's remarks from reading the header.
    """

    sample_rate_hz: int
    channels: int
    container: str
    encoding: str
    frames: int | None
    log: str


def open_stream(path: str, stream: EncodedStream) -> Any:
    """Open a stream for reading from its beginning to its end, as a `soundfile.SoundFile`.

    Raises `AudioError`; reading it raises `DecodingError`.
    """
    name = os.fsencode(path)  # as bytes, for names that are not UTF-8
    try:
        if stream.by_av:
            return AvStream(name)
        with muted_native_stderr(True):
            if stream.pieces is None:
                return _Forward(name)
            return _Forward(SplicedFile(name, stream.pieces))
    except DecodingError as exc:
        raise AudioError(f"{path}: not audio that can be read ({exc})") from exc
    except soundfile.LibsndfileError as exc:
        raise AudioError(f"{path}: not audio that can be read ({_reason(exc)})") from exc
    # python-soundfile takes the suffix .raw as a promise of headerless samples.
    except TypeError as exc:
        raise AudioError(
            f"{path}: headerless samples cannot be read, their rate is unknown",
            suggestion="convert the file to WAV",
        ) from exc


def foreign_stream(path: str) -> EncodedStream | None:
    """Return how to read a file that libsndfile does not know, None where it may know it.

    Raises `AudioError` with the way out where the libraries for it are not installed.
    """
    name = foreign_format(path)
    if name is None:
        return None
    if not av_installed():
        raise AudioError(
            f"{path}: {name} needs FFmpeg's libraries",
            suggestion=f"{how_to_install('av')}, or convert it: ffmpeg -i FILE FILE.wav",
        )
    return EncodedStream(by_av=True)


def probe(path: str, stream: EncodedStream) -> StreamFacts:
    """Open a stream and return what its header says; raises `AudioError`."""
    with open_stream(path, stream) as file:
        frames = int(file.frames)
        return StreamFacts(
            sample_rate_hz=int(file.samplerate),
            channels=int(file.channels),
            container=str(file.format),
            encoding=str(file.subtype),
            frames=frames if 0 <= frames < UNKNOWN_FRAMES else None,
            log=str(file.extra_info),
        )


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A recording that is read from beginning to end only.

    python-soundfile seeks after each read of a seekable file. In MP3 that restarts the decoder, so
    the samples would depend on the sizes of the reads; in Ogg it is slow. One that says it cannot
    seek is simply read on.
    """

    def seekable(self) -> bool:
        return False

    def read(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read(*args, **kwargs)
        except soundfile.LibsndfileError as exc:
            raise DecodingError(_reason(exc)) from exc


def _reason(error: soundfile.LibsndfileError) -> str:
    text: str = error.error_string
    return text.removeprefix("Error : ").strip(" .") or "decoder error"
