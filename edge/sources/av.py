"""What libsndfile cannot read, by FFmpeg's libraries: AAC of phones, WMA, WavPack, Matroska.

PyAV is an extra. Where it is missing, such a file is known by its first bytes, and the way out is
named.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.sources.errors import DecodingError
from edge.types import Array

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AV_SUFFIXES", "AvStream", "av_installed", "foreign_format"]

AV_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("m4a", "m4b", "mp4", "aac", "3gp", "3g2", "mov", "wma", "asf", "webm", "mka", "mkv"),
        *("wv", "ape", "amr", "tta", "ac3", "dts", "mpc"),
    )
)
# What a file is, by its first bytes.
MAGIC = {
    "MPEG-4": re.compile(rb".{4}ftyp", re.DOTALL),
    "Windows Media": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    "Matroska or WebM": re.compile(rb"\x1a\x45\xdf\xa3"),
    "WavPack": re.compile(rb"wvpk"),
    "AAC": re.compile(rb"\xff[\xf0\xf1\xf8\xf9][\x40-\xbf]"),
    "AMR": re.compile(rb"#!AMR"),
    "Monkey's Audio": re.compile(rb"MAC "),
    "True Audio": re.compile(rb"TTA1"),
    "Musepack": re.compile(rb"MP\+|MPCK"),
}


def av_installed() -> bool:
    """Return whether PyAV is there."""
    return importlib.util.find_spec("av") is not None


def foreign_format(path: str) -> str | None:
    """Return the name of a format that only FFmpeg's libraries read, None for any other file."""
    with open(path, "rb") as file:
        head = file.read(16)
    return next((name for name, magic in MAGIC.items() if magic.match(head)), None)


class AvStream:
    """The first audio stream of a file, read from beginning to end as `soundfile` would read it.

    Raises `DecodingError` where the file cannot be opened or read on.
    """

    subtype = "AV"
    extra_info = ""

    def __init__(self, path: bytes) -> None:
        import av

        self._error: type[Exception] = av.error.FFmpegError
        # Opened here: FFmpeg would take some names for addresses of a network.
        self._file = open(path, "rb")  # noqa: SIM115  # closed in close()
        try:
            self._container: Any = av.open(self._file)
        except (av.error.FFmpegError, ValueError) as exc:
            self._file.close()
            raise DecodingError(_reason(exc)) from exc
        if not self._container.streams.audio:
            self.close()
            raise DecodingError("it has no sound")
        stream = self._container.streams.audio[0]
        self.samplerate = int(stream.codec_context.sample_rate or 0)
        self.channels = int(stream.codec_context.channels or 0)
        self.format = str(self._container.format.name)
        seconds: float | None = None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        self.frames = -1 if seconds is None else round(seconds * self.samplerate)
        self.comment = str(self._container.metadata.get("comment", ""))
        self._pieces = self._decoded(stream)
        self._pending: Array = np.empty((0, self.channels), np.float32)

    def read(self, frames: int, *, dtype: str = "float32", always_2d: bool = True) -> Array:
        """Return the next `frames` (n, channels) float32, fewer at the end and before damage."""
        parts, have = [self._pending], len(self._pending)
        failure: DecodingError | None = None
        try:
            while have < frames and (piece := next(self._pieces, None)) is not None:
                parts.append(piece)
                have += len(piece)
        except DecodingError as exc:
            failure = exc
        if failure is not None and not have:
            raise failure
        if failure is not None:
            self._pieces = _failing(failure)
        whole = np.concatenate(parts)
        self._pending = whole[frames:]
        return whole[:frames]

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def __enter__(self) -> AvStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decoded(self, stream: Any) -> Iterator[Array]:
        import av

        plain = av.AudioResampler(format="fltp", layout=stream.layout, rate=self.samplerate)
        try:
            for frame in self._container.decode(stream):
                yield from self._arrays(plain.resample(frame))
            yield from self._arrays(plain.resample(None))
        except (self._error, ValueError) as exc:
            raise DecodingError(_reason(exc)) from exc

    def _arrays(self, frames: Any) -> Iterator[Array]:
        for frame in frames:
            yield np.ascontiguousarray(frame.to_ndarray().T, dtype=np.float32)


def _failing(failure: DecodingError) -> Iterator[Array]:
    raise failure
    yield  # a generator, which fails when it is asked


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
