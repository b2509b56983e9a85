"""A stretch of a long recording, sample for sample as it is in the whole."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edge.sources.channels import ChannelMixer, channel_of
from edge.sources.decoding import Decoder
from edge.sources.file import Channel, Reading, Resampled, reading_of
from edge.sources.header import AudioFacts
from edge.sources.restart import SETTLED_FRAMES, restart_frames
from edge.sources.triggered import is_triggered
from edge.types import Array, AudioBlock

__all__ = ["Joint", "StretchSource", "can_be_cut", "samples_of", "whole_reading"]

# Decoded from any frame on; in what is compressed with a memory, a decoder would have to begin at
# the beginning.
SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF"})


def can_be_cut(facts: AudioFacts, sample_rate_hz: int) -> bool:
    """Return whether stretches of a recording can be decoded and resampled by themselves."""
    layout = facts.layout
    stream = layout.facts
    plain = stream.encoding.startswith(("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW"))
    return (
        stream.container in SEEKABLE
        and plain
        and len(layout.streams) == 1
        and facts.frames is not None
        and not is_triggered(facts)
        and restart_frames(facts.sample_rate_hz, sample_rate_hz) is not None
    )


def samples_of(facts: AudioFacts, sample_rate_hz: int) -> int:
    """Return how many samples a recording has at a rate, by its header."""
    return max(1, (facts.frames or 0) * sample_rate_hz // facts.sample_rate_hz)


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What stretches that follow each other must agree on, and what was found in one of them.

    `head` and `tail` are digests of the samples that one shares with its neighbours. `whole`: all
    of it could be decoded, up to the sample `end`. The others are as in `Decoder`, of the pieces
    that begin in it.
    """

    head: str
    tail: str
    end: int
    whole: bool
    decoded: int
    peak: float
    invalid: int
    cancelled: int


class StretchSource:
    """The samples from `start` up to `end` of a recording, and `shared` ones behind it.

    Its blocks are of `block_s`; the last one is marked only where `end` is None, which is that of
    the recording. `joint` is known once `blocks` have come to their end.
    """

    def __init__(
        self,
        facts: AudioFacts,
        *,
        sample_rate_hz: int,
        start: int,
        end: int | None,
        shared: int,
        channel: Channel = "mix",
        block_s: float = 1.0,
    ) -> None:
        self.facts = facts
        self.channel = channel_of(facts, channel)
        self.joint: Joint | None = None
        self._rate_hz = sample_rate_hz
        self._start, self._end, self._shared = start, end, shared
        self._block_samples = max(1, round(block_s * sample_rate_hz))
        self._owned = [0.0, 0, 0, 0]  # peak, decoded, invalid, cancelled

    def blocks(self) -> Iterator[AudioBlock]:
        """Yield the samples, in one run."""
        decoder = Decoder(facts=self.facts)
        last = None if self._end is None else self._end + self._shared
        head, tail = hashlib.sha256(), hashlib.sha256()
        at, pending = self._start, np.empty(0, np.float32)
        for samples in self._samples(decoder, last):
            _add(head, samples, at + len(pending) - self._start, self._shared)
            if self._end is not None:
                _add(tail, samples, at + len(pending) - self._end, self._shared)
            pending = np.concatenate([pending, samples])
            # Not >=: some must remain for the block that is marked as the last.
            while len(pending) > self._block_samples:
                yield self._block(at, pending[: self._block_samples])
                at, pending = at + self._block_samples, pending[self._block_samples :]
        yield self._block(at, pending, last=last is None)
        peak, decoded, invalid, cancelled = self._owned
        self.joint = Joint(
            head=head.hexdigest(),
            tail=tail.hexdigest(),
            end=at + len(pending),
            whole=not decoder.damaged and (last is None or at + len(pending) == last),
            peak=float(peak),
            decoded=int(decoded),
            invalid=int(invalid),
            cancelled=int(cancelled),
        )

    def _samples(self, decoder: Decoder, last: int | None) -> Iterator[Array]:
        """Yield the samples from the first on, up to `last`."""
        begin = self._restart()
        run = Resampled(facts=self.facts, rate_hz=self._rate_hz, start=begin)
        for frames in self._mono(decoder, begin):
            for at, samples in run.push(frames):
                kept = samples[max(0, self._start - at) :]
                end = at + len(samples)
                if last is not None and end >= last:
                    yield kept[: len(kept) - (end - last)]
                    return
                if len(kept):
                    yield kept
        for at, samples in run.close():
            yield samples[max(0, self._start - at) :]

    def _mono(self, decoder: Decoder, begin: int) -> Iterator[Array]:
        """Yield frames from `begin` on as one channel; count what begins in this stretch.

        Pieces are those in which the whole recording is decoded, so that what is noted of them adds
        up.
        """
        mixer = ChannelMixer(self.channel)
        first, behind = self._frame(self._start), math.inf
        if self._end is not None:
            behind = self._frame(self._end)
        for at, frames in decoder.runs(begin // decoder.usual_frames * decoder.usual_frames):
            before = mixer.cancelled
            mono = mixer.mono(frames)
            if first <= at < behind:
                peak, invalid = decoder.piece
                self._owned[0] = max(self._owned[0], peak)
                self._owned[1] += len(frames)
                self._owned[2] += invalid
                self._owned[3] += mixer.cancelled - before
            if at + len(mono) > begin:
                yield mono[max(0, begin - at) :]

    def _restart(self) -> int:
        """Return the frame from which on it is resampled."""
        step = restart_frames(self.facts.sample_rate_hz, self._rate_hz)
        assert step is not None  # see `can_be_cut`
        settled = 0 if step == 1 else SETTLED_FRAMES
        return max(0, self._frame(self._start) - settled) // step * step

    def _frame(self, sample: int) -> int:
        return sample * self.facts.sample_rate_hz // self._rate_hz

    def _block(self, start: int, samples: Array, *, last: bool = False) -> AudioBlock:
        return AudioBlock(
            start_sample=start, samples=samples, sample_rate_hz=self._rate_hz, last=last
        )


def whole_reading(facts: AudioFacts, channel: Channel, joints: list[Joint]) -> Reading | None:
    """Return what came of reading a recording in stretches; None where they are not those of the
    whole, and it must be read from beginning to end.
    """
    follow = all(one.tail == after.head for one, after in pairwise(joints))
    decoder = Decoder(
        facts=facts,
        decoded=sum(joint.decoded for joint in joints),
        peak=max(joint.peak for joint in joints),
        invalid=sum(joint.invalid for joint in joints),
    )
    if not follow or not all(joint.whole for joint in joints) or decoder.decoded != facts.frames:
        return None
    heard = channel_of(facts, channel)
    mixer = ChannelMixer(heard, cancelled=sum(joint.cancelled for joint in joints))
    return reading_of(facts, decoder, mixer)


def _add(digest: hashlib._Hash, samples: Array, at: int, count: int) -> None:
    """Add to a digest those of `samples`, which begin at `at`, that are from 0 up to `count`."""
    if at < count and at + len(samples) > 0:
        digest.update(np.ascontiguousarray(samples[max(0, -at) : max(0, count - at)]).tobytes())
