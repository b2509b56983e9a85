"""Recordings: anything that libsndfile reads, decoded and resampled as a stream.

So a day of audio fits in a few megabytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from edge.errors import AudioError
from edge.sources.channels import Channel, ChannelMixer, channel_of
from edge.sources.decoding import Decoder
from edge.sources.header import AudioFacts, audio_facts
from edge.sources.restart import QUALITY
from edge.sources.triggered import is_triggered
from edge.types import Array, AudioBlock

__all__ = [
    "AUDIO_SUFFIXES",
    "Channel",
    "FileSource",
    "Reading",
    "Resampled",
    "length_s",
    "reading_of",
]

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "bwf", "rf64", "w64", "flac", "ogg", "oga", "opus", "mp3", "mp2"),
        *("aif", "aiff", "aifc", "au", "snd", "caf", "voc", "nist", "sph", "ircam"),
    )
)
LARGEST_SAMPLE = 8.0  # above it a recording's scale is not the usual one
WORTH_A_WORD_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of reading a recording to its end.

    `missing_s` were promised by the header and could not be read. `notes` say what a person should
    know: each is the end of a sentence that the file's name begins.
    """

    missing_s: float
    notes: tuple[str, ...]


class FileSource:
    """The recording at `path` as mono blocks of `block_s` at `sample_rate_hz`.

    `channel` is one of its channels from 1, `mix` the mean of all, or `loudest` the one with the
    most energy. Decoding proceeds in pieces of its own size, so that `block_s` decides nothing but
    where the blocks are cut. `reading` is known once `blocks` have come to their end. Raises
    `AudioError` at construction for what the header shows, and while reading where nothing can be
    decoded.
    """

    def __init__(
        self, path: str, *, sample_rate_hz: int, block_s: float = 1.0, channel: Channel = "mix"
    ) -> None:
        self.facts = audio_facts(path)
        self.path = path
        self.channel = channel_of(self.facts, channel)
        self.reading = Reading(missing_s=0.0, notes=())
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
        for at, samples in self._resampled():
            if at > start + len(pending):
                if len(pending):
                    yield self._block(start, pending, last=True)
                start, pending = at, np.empty(0, np.float32)
            pending = np.concatenate([pending, samples])
            # Not >=: some must remain for the block that is marked as the last.
            while len(pending) > size:
                yield self._block(start, pending[:size])
                start += size
                pending = pending[size:]
        if not start + len(pending):
            raise AudioError(
                f"{self.path}: is shorter than one sample at {self._sample_rate_hz} Hz"
            )
        yield self._block(start, pending, last=True)

    def _block(self, start: int, samples: Array, *, last: bool = False) -> AudioBlock:
        return AudioBlock(
            start_sample=start, samples=samples, sample_rate_hz=self._sample_rate_hz, last=last
        )

    def _resampled(self) -> Iterator[tuple[int, Array]]:
        """Yield samples at the source's rate, each with its index; gaps are in the index."""
        run = Resampled(facts=self.facts, rate_hz=self._sample_rate_hz, start=0)
        for start, samples in self._mono():
            if start > run.end:
                yield from run.close()
                run = Resampled(facts=self.facts, rate_hz=self._sample_rate_hz, start=start)
            yield from run.push(samples)
        yield from run.close()

    def _mono(self) -> Iterator[tuple[int, Array]]:
        decoder = Decoder(facts=self.facts)
        mixer = ChannelMixer(self.channel)
        for start, frames in decoder.runs():
            yield start, mixer.mono(frames)
        if not decoder.decoded:
            reason = f"nothing of it can be decoded ({decoder.reason})"
            raise AudioError(f"{self.path}: {reason if decoder.reason else 'holds no audio'}")
        self.reading = reading_of(self.facts, decoder, mixer)


class Resampled:
    """Unbroken frames of a recording from its frame `start` on, brought to another rate.

    It gives no more samples than lie within the frames, so that nothing ends behind the recording.
    """

    def __init__(self, *, facts: AudioFacts, rate_hz: int, start: int) -> None:
        self._from_hz, self._to_hz = facts.sample_rate_hz, rate_hz
        self.end = start
        self._start = start
        self._given = 0
        self._resampler: soxr.ResampleStream | None = None
        if self._from_hz != self._to_hz:
            self._resampler = soxr.ResampleStream(
                self._from_hz, self._to_hz, 1, dtype="float32", quality=QUALITY
            )

    def push(self, samples: Array) -> Iterator[tuple[int, Array]]:
        """Take samples at the recording's rate; yield what is ready, with its index."""
        self.end += len(samples)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        yield from self._give(samples)

    def close(self) -> Iterator[tuple[int, Array]]:
        """Yield the last samples, which the filter still holds."""
        if self._resampler is not None and self.end > self._start:
            yield from self._give(
                self._resampler.resample_chunk(np.empty(0, np.float32), last=True)
            )

    def _give(self, samples: Array) -> Iterator[tuple[int, Array]]:
        frames = self.end - self._start
        # A recording of a single frame is a sample at any rate.
        most = max(1, frames * self._to_hz // self._from_hz) - self._given
        samples = samples[: max(0, most)]
        if len(samples):
            yield round(self._start * self._to_hz / self._from_hz) + self._given, samples
            self._given += len(samples)


def length_s(path: str) -> float:
    """Return how long a recording lasts, gaps included, in seconds; it may have to be decoded.

    Raises `AudioError`.
    """
    facts = audio_facts(path)
    if facts.duration_s is not None and not is_triggered(facts):
        return facts.duration_s
    ends = [start + len(frames) for start, frames in Decoder(facts=facts).runs()]
    return max(ends, default=0) / facts.sample_rate_hz


def reading_of(facts: AudioFacts, decoder: Decoder, mixer: ChannelMixer) -> Reading:
    """Return what came of reading a recording, by what was counted meanwhile."""
    rate_hz, layout = facts.sample_rate_hz, facts.layout
    missing = layout.promised - decoder.decoded
    missing = missing if missing > layout.slack else 0
    notes = [*layout.notes]
    announced_s, decoded_s = facts.announced_s, decoder.decoded / rate_hz
    slack_s = max(layout.slack / rate_hz, WORTH_A_WORD_S)
    if missing or (announced_s is not None and abs(announced_s - decoded_s) >= slack_s):
        notes.append(_length(decoded_s, announced_s, missing / rate_hz))
    if missing and decoder.damaged:
        places = len(decoder.damaged)
        first = f"{decoder.damaged[0] / rate_hz:.2f} s ({decoder.reason})"
        more = f" and in {places - 1} more places" if places > 1 else ""
        notes.append(f"damaged at {first}{more}")
    if decoder.invalid:
        notes.append(f"{decoder.invalid:,} samples are no sound (NaN, infinite, huge): silence")
    if decoder.peak > LARGEST_SAMPLE:
        notes.append(
            f"its samples reach {decoder.peak:,.0f} where full scale is 1, so its level is not to "
            "be believed; were whole numbers written as float?"
        )
    notes += mixer.notes(rate_hz)
    return Reading(missing_s=missing / rate_hz, notes=tuple(notes))


def _length(decoded_s: float, announced_s: float | None, missing_s: float) -> str:
    digits = 2 if announced_s is None or abs(announced_s - decoded_s) >= WORTH_A_WORD_S else 4
    recorded = f"recorded {decoded_s:.{digits}f} s"
    if announced_s is None:
        return f"{recorded}, and {missing_s:.2f} s more were promised"
    return f"{recorded}, its header says {announced_s:.{digits}f} s"
