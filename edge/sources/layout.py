"""What of a file goes to the decoder, and how long its header and its content say it is."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.sources.chunks import Chunk
from edge.sources.extent import SoundExtent, extent_of
from edge.sources.flac import FlacStream, flac_streams, is_flac
from edge.sources.integrity import announced_share
from edge.sources.mpeg import Mp3Length, measure_mp3
from edge.sources.ogg import OggStream, ogg_streams
from edge.sources.opening import EncodedStream, StreamFacts, foreign_stream, probe

__all__ = ["Layout", "layout_of"]

Probe = Callable[[EncodedStream], StreamFacts]
# Frames that decoders may lose at the ends of what was encoded in blocks.
MP3_SLACK = 4 * 1152
BLOCK_SLACK = 4096
PLAIN = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS", "OPUS")
OPUS_POSITIONS_HZ = 48_000  # whatever the rate of the sound
CONTAINER_SLACK_S = 0.25  # what encoders add before and behind the sound


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The `streams` of a file, in order, and what is known of their length in frames.

    `facts` are the first one's. `present` can be decoded, as far as can be told, None where it
    cannot. The header announces `announced`, None where it leaves that open. Of the `promised`
    frames, what is not decoded is missing; so few as `slack` are not. `notes` say what else is not
    as it should be. `chunks` are those beside the sound, None where the file consists of none.
    """

    facts: StreamFacts
    streams: tuple[EncodedStream, ...]
    present: int | None
    announced: int | None
    promised: int
    slack: int = 0
    notes: tuple[str, ...] = ()
    chunks: tuple[Chunk, ...] | None = None


def layout_of(path: str, size: int) -> Layout:
    """Return what of the file goes to the decoder; raises `AudioError` where nothing can.

    `size` are its bytes.
    """

    def opened(stream: EncodedStream) -> StreamFacts:
        return probe(path, stream)

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        extent = extent_of(file)
        if extent is not None:
            return _of_extent(extent, size, opened)
        if data[:4] == b"OggS" and (pages := ogg_streams(data)):
            return _of_ogg(pages, opened)
        if is_flac(data) and (frames := flac_streams(data)):
            return _of_flac(frames, data, opened)
        foreign = foreign_stream(path)
        if foreign is not None:
            return _by_av(foreign, opened(foreign))
        facts = opened(EncodedStream())
        length = measure_mp3(data) if facts.container == "MP3" else None
        return _of_mp3(length, opened) if length else _by_libsndfile(facts)


def _of_extent(extent: SoundExtent, size: int, opened: Probe) -> Layout:
    stream = EncodedStream(pieces=extent.pieces)
    facts = opened(stream)
    frames = facts.frames or 0
    announced = extent.announced
    if announced is not None:
        announced = _frames_of(announced, extent, facts)
    notes = (_filler_behind(extent.filler),) if extent.filler else ()
    if announced is None:
        notes = (*notes, "its header does not say how long it is")
    return Layout(
        facts=facts,
        streams=(stream,),
        present=frames,
        announced=announced,
        promised=(announced or frames) if extent.missing_bytes(size) else frames,
        slack=_slack(facts),
        notes=notes,
        chunks=extent.others,
    )


def _of_flac(found: Sequence[FlacStream], data: mmap.mmap, opened: Probe) -> Layout:
    streams = [
        EncodedStream(pieces=stream.pieces(data[stream.start : stream.first]), flac=stream)
        for stream in found
    ]
    if len(found) == 1 and found[0].announced == found[0].samples and found[0].end == len(data):
        streams = [EncodedStream(flac=found[0])]
    facts = opened(streams[0])
    kept, notes = _alike(streams, facts, opened)
    known = [stream.announced for stream in found[: len(kept)]]
    samples = [stream.samples or 0 for stream in found[: len(kept)]]
    behind = len(data) - found[-1].end
    if behind:
        notes = (*notes, _filler_behind(behind))
    return Layout(
        facts=facts,
        streams=kept,
        present=sum(samples),
        announced=None if None in known else sum(count or 0 for count in known),
        promised=sum(max(count or 0, there) for count, there in zip(known, samples, strict=True)),
        notes=notes,
    )


def _of_ogg(found: Sequence[OggStream], opened: Probe) -> Layout:
    streams = [EncodedStream(pieces=stream.pieces) for stream in found]
    if len(found) == 1:
        streams = [EncodedStream()]
    facts = opened(streams[0])
    kept, notes = _alike(streams, facts, opened)
    frames = [facts.frames, *(opened(stream).frames for stream in kept[1:])]
    present = sum(count or 0 for count in frames)
    last = found[len(kept) - 1]
    cut = 0
    if last.partial:
        positions_hz = OPUS_POSITIONS_HZ if facts.encoding == "OPUS" else facts.sample_rate_hz
        cut = max(1, round(last.cut * facts.sample_rate_hz / positions_hz))
        notes = (*notes, "its end is cut off within a page")
    elif not last.ended:
        notes = (*notes, "it has no end mark, so its end may be missing")
    return Layout(
        facts=facts,
        streams=kept,
        present=None if None in frames else present,
        announced=None if None in frames or last.partial else present,
        promised=present + cut,
        notes=notes,
    )


def _of_mp3(length: Mp3Length, opened: Probe) -> Layout:
    announced = length.announced
    as_it_is = announced is not None and len(length.runs) == 1
    if as_it_is and length.frames <= (announced or 0) + MP3_SLACK:
        stream = EncodedStream()
    else:
        stream = EncodedStream(pieces=length.pieces)
    return Layout(
        facts=opened(stream),
        streams=(stream,),
        present=length.frames,
        announced=announced,
        promised=max(length.frames, announced or 0),
        slack=MP3_SLACK,
    )


def _by_libsndfile(facts: StreamFacts) -> Layout:
    frames = facts.frames
    announced = None if frames is None else round(frames * announced_share(facts.log))
    return Layout(
        facts=facts,
        streams=(EncodedStream(),),
        present=frames,
        announced=announced,
        promised=announced or 0,
        slack=_slack(facts),
    )


def _by_av(stream: EncodedStream, facts: StreamFacts) -> Layout:
    """Return the layout of a file whose container says how long it is about."""
    return Layout(
        facts=facts,
        streams=(stream,),
        present=facts.frames,
        announced=facts.frames,
        promised=facts.frames or 0,
        slack=round(CONTAINER_SLACK_S * facts.sample_rate_hz),
    )


def _alike(
    streams: Sequence[EncodedStream], facts: StreamFacts, opened: Probe
) -> tuple[tuple[EncodedStream, ...], tuple[str, ...]]:
    """Return the streams that go on as the first one does, and what is to be said of the rest."""
    for i, stream in enumerate(streams[1:], 1):
        other = opened(stream)
        if (other.sample_rate_hz, other.channels) != (facts.sample_rate_hz, facts.channels):
            note = f"another recording at {other.sample_rate_hz} Hz is joined to it and not heard"
            return tuple(streams[:i]), (note,)
    return tuple(streams), ()


def _frames_of(size: int, extent: SoundExtent, facts: StreamFacts) -> int:
    """Return how many frames `size` bytes would be if they were like those that are there."""
    frames = facts.frames or 0
    if not frames or size == extent.present:
        return frames
    per_frame = extent.present / frames
    if facts.encoding.startswith(PLAIN):
        return size // max(1, int(per_frame))  # of the last frame there may be a part
    return round(size / per_frame)


def _filler_behind(count: int) -> str:
    return f"{count:,} empty bytes behind the sound are not heard"


def _slack(facts: StreamFacts) -> int:
    if "MPEG" in facts.encoding:
        return MP3_SLACK
    return 0 if facts.encoding.startswith(PLAIN) else BLOCK_SLACK
