"""Recordings decoded piece by piece, as far as they can be."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge.sources.bounds import valid, with_silence
from edge.sources.errors import DecodingError
from edge.sources.flac import FlacFrame, flac_frames
from edge.sources.header import AudioFacts
from edge.sources.integrity import muted_native_stderr
from edge.sources.opening import EncodedStream, open_stream
from edge.sources.triggered import expanded, is_triggered
from edge.types import Array

__all__ = ["Decoder"]

DECODED_SAMPLES = 1 << 17  # decoded at a time, all channels together: 0.5 MiB


@dataclass(kw_only=True)
class Decoder:
    """Decodes one recording, once; what was found is known at the end.

    `decoded` frames were read. `peak` is the largest sample; `invalid` samples that no sound has
    are silence. `damaged` are the frames at which it could not go on, with the decoder's word for
    the first. `piece` has the peak and the number of invalid samples of the frames that came last.
    """

    facts: AudioFacts
    decoded: int = 0
    peak: float = 0.0
    invalid: int = 0
    damaged: list[int] = field(default_factory=list)
    _begin: int = 0
    reason: str = ""
    piece: tuple[float, int] = (0.0, 0)

    def runs(self, begin: int = 0) -> Iterator[tuple[int, Array]]:
        """Yield frames (n, channels) float32, full scale 1, each from its start frame.

        With `begin`, those from that frame on, of a recording that can be cut. A start beyond the
        end of the frames before it is a gap: damage, or what the recorder has left out. Raises
        `AudioError` where the file cannot be opened.
        """
        self._begin = begin
        runs = self._streams()
        yield from expanded(runs) if is_triggered(self.facts) else runs

    def _streams(self) -> Iterator[tuple[int, Array]]:
        start = 0
        for stream in self.facts.layout.streams:
            end = start
            for at, frames in self._stream(stream, start):
                end = at + len(frames)
                yield at, frames
            # The end of a stream may be damaged; the next one begins where it should have ended.
            whole = stream.flac.samples or 0 if stream.flac is not None else 0
            start = max(end, start + whole)

    def _stream(self, stream: EncodedStream, start: int) -> Iterator[tuple[int, Array]]:
        end = start
        try:
            for at, frames in self._read(stream, start, self.usual_frames):
                end = at + len(frames)
                yield at, frames
        except DecodingError as exc:
            self.reason = self.reason or str(exc)
            yield from self._beyond_damage(stream, start, end)

    def _read(
        self, stream: EncodedStream, start: int, size: int, skip: int = 0
    ) -> Iterator[tuple[int, Array]]:
        """Yield the frames of a stream that begins at frame `start`, `size` at a time.

        The first `skip` are left out. Raises `DecodingError` at damage.
        """
        muted = self.facts.layout.facts.container == "MP3"
        with open_stream(self.facts.path, stream) as file:
            if self._begin:
                file.seek(self._begin)
                start += self._begin
            while True:
                with muted_native_stderr(muted):
                    frames: Array = file.read(size, dtype="float32", always_2d=True)
                if not len(frames):
                    return
                kept, start, skip = frames[skip:], start + skip, max(0, skip - len(frames))
                if len(kept):
                    kept = self._checked(kept)
                    self.decoded += len(kept)
                    yield start, kept
                    start += len(kept)

    def _beyond_damage(
        self, stream: EncodedStream, start: int, end: int
    ) -> Iterator[tuple[int, Array]]:
        """Yield what can be decoded of a FLAC beyond the frame `end`, and nothing of others."""
        if stream.flac is None:
            self.damaged.append(end)
            return
        with (
            open(self.facts.path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            flac = stream.flac
            header = data[flac.start : flac.first]
            following = flac.first
            while (frame := self._frame_after(data, stream, following, end - start)) is not None:
                rest = EncodedStream(pieces=flac.pieces(header, frame.at), flac=flac)
                skip = max(0, end - start - frame.sample)
                begin = start + frame.sample
                try:
                    for at, frames in self._read(rest, begin, frame.size, skip):
                        if at > end:
                            self.damaged.append(end)
                        end = at + len(frames)
                        yield at, frames
                    return
                except DecodingError:
                    # Either frames were read, or this one is the damaged one.
                    following = frame.at + 1
            self.damaged.append(end)

    def _frame_after(
        self, data: mmap.mmap, stream: EncodedStream, byte: int, sample: int
    ) -> FlacFrame | None:
        """Return the first frame from `byte` on that holds something from `sample` on."""
        assert stream.flac is not None
        for frame in flac_frames(data, stream.flac, byte):
            if frame.sample + frame.size > sample:
                return frame
        return None

    @property
    def usual_frames(self) -> int:
        """How many frames are decoded at a time."""
        return max(1, DECODED_SAMPLES // self.facts.channels)

    def _checked(self, frames: Array) -> Array:
        """Return frames without samples that no sound has, and note these and the largest."""
        invalid = 0
        if not valid(frames):
            frames, invalid = with_silence(frames)
        self.piece = float(np.abs(frames).max()), invalid
        self.invalid += invalid
        self.peak = max(self.peak, self.piece[0])
        return frames
