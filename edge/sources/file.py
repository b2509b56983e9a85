"""Recordings: anything that libsndfile reads, decoded and resampled as a stream.

So a day of audio fits in a few megabytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from edge.errors import AudioError
from edge.sources.header import MP3_SLACK, AudioFacts, audio_facts, open_recording
from edge.sources.integrity import muted_native_stderr
from edge.types import Array, AudioBlock

__all__ = ["AUDIO_SUFFIXES", "FileSource"]

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "bwf", "rf64", "w64", "flac", "ogg", "oga", "opus", "mp3", "mp2"),
        *("aif", "aiff", "aifc", "au", "snd", "caf", "voc", "nist", "sph", "ircam"),
    )
)
# Full scale is 1; integer samples stored as float reach 2**31, which overflows powers in float32
# further on.
LOUDEST = 1e6
DECODED_SAMPLES = 1 << 17  # decoded at a time, all channels together: 0.5 MiB


class FileSource:
    """The recording at `path` as mono blocks of `block_s` at `sample_rate_hz`.

    Channels are averaged. Decoding proceeds in pieces of its own size, so that `block_s` decides
    nothing but where the blocks are cut. Raises `AudioError` at construction for what the header
    shows, and while reading for what only the samples show (cut off, NaN, no audio).
    """

    def __init__(self, path: str, *, sample_rate_hz: int, block_s: float = 1.0) -> None:
        self.facts = audio_facts(path)
        self.path = path
        self._sample_rate_hz = sample_rate_hz
        self._block_samples = max(1, round(block_s * sample_rate_hz))

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples in the blocks."""
        return self._sample_rate_hz

    def blocks(self) -> Iterator[AudioBlock]:
        """See `Source.blocks`; each call reads the file from its beginning."""
        size = self._block_samples
        start = 0
        pending = np.empty(0, np.float32)
        for samples in self._resampled():
            pending = np.concatenate([pending, samples])
            # Not >=: some must remain for the block that is marked as the last.
            while len(pending) > size:
                yield self._block(start, pending[:size])
                start += size
                pending = pending[size:]
        if not start + len(pending):
            raise AudioError(f"{self.path}: holds no audio")
        yield self._block(start, pending, last=True)

    def _block(self, start: int, samples: Array, *, last: bool = False) -> AudioBlock:
        return AudioBlock(
            start_sample=start, samples=samples, sample_rate_hz=self._sample_rate_hz, last=last
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
        decoded = 0
        with open_recording(self.path, self.facts.counted) as file:
            while len(frames := self._read(file, decoded)):
                decoded += len(frames)
                yield frames.mean(axis=1, dtype=np.float32)
        self._check_whole(decoded)

    def _check_whole(self, decoded: int) -> None:
        facts = self.facts
        slack = MP3_SLACK if facts.container == "MP3" else 0
        if facts.frames is not None and facts.frames - decoded > slack:
            raise AudioError(
                f"{self.path}: truncated, {_seconds(decoded, facts)} of "
                f"{_seconds(facts.frames, facts)} can be decoded"
            )

    def _read(self, file: soundfile.SoundFile, decoded: int) -> Array:
        """Return the next frames (n, channels) float32, checked, after `decoded` others."""
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
            raise self._beyond_full_scale(frames, decoded)
        return frames

    def _beyond_full_scale(self, frames: Array, decoded: int) -> AudioError:
        """Return the error that names the first sample that is not within LOUDEST."""
        bad = ~(np.abs(frames) <= LOUDEST)
        row = int(np.argmax(bad.any(axis=1)))
        value = frames[row][bad[row]][0]
        what = "NaN or infinite samples"
        if np.isfinite(value):
            what = f"a sample of {value:.3g} where full scale is 1"
        return AudioError(f"{self.path}: {what} at {_seconds(decoded + row, self.facts)}")


def _seconds(frames: int, facts: AudioFacts) -> str:
    return f"{frames / facts.sample_rate_hz:.2f} s"
